"""The processes behind the gateway: shard, execution, recorder; and the parts of the supervisor."""
