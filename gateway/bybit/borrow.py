"""Array views without a reference count, for kernels that hand arrays down to smaller kernels.

numba counts references to an array around every call that takes one: two atomic operations per array and call, about
10 ns, which is as much as reading a whole price level. The scanner is split into a dozen small kernels; with counted
arrays they cost more than the scanning. A borrowed view carries no owner, so counting finds nothing to do. The caller
holds the real array for as long as the views live: they never leave `decode_batch`.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic

if numba_config.DISABLE_JIT:  # type: ignore[attr-defined]

    def borrowed(array: Any) -> Any:
        return array

else:

    @intrinsic
    def borrowed(typingctx: Any, array: Any) -> Any:
        """The same elements, shape and strides, owned by nobody."""
        if not isinstance(array, types.Array):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.return_type)(context, builder, args[0])
            view.meminfo = cgutils.get_null_value(view.meminfo.type)
            view.parent = cgutils.get_null_value(view.parent.type)
            return view._getvalue()

        return array(array), codegen
