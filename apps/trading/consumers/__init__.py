"""
The `/ws` consumer and what a stream process shares between its sockets. Decides no order and books nothing.
"""
