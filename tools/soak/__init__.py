"""`make soak`: an overlay under churn, loss and attack for an hour, and what became of it.

main        from beginning to end: network, programs, clients, attacker, samples, verdict
network     a switch with all hosts, each behind a link that loses datagrams           (pure)
overlay     bootstrapper, nodes and servers with their files
steady      viewers that watch all the time, and what is checked of each byte they get
churn       clients that come and go
attack      the ways in which one address attacks: a program of its own
samples     memory, threads and descriptors of a process
verdict     what must hold at the end                                                  (pure)
"""
