"""A content on its way: fanout and inlet, history, repair, playout."""
