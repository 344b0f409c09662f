"""A small mutation tester: are the tests of a module good enough to notice that it is wrong?"""
