"""A content on its way: receiver and fanout, history, repair, playout."""
