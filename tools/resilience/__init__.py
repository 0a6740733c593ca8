"""Does the overlay heal? One command for each way to fail: `python -m tools.resilience NAME...`.

Real programs are killed, frozen, cut off and slowed down while clients record. Each recording is compared,
packet by packet, with that of a *witness*: a client at the rendezvous point, which no failure touches.

    grounds     where programs run: addresses of 127.0.0.0/8, or hosts of the lab around a switch
    overlay     bootstrapper, nodes, servers and clients on such ground
    footage     the contents
    comparing   which packets does a recording lack?                            (pure)
    stalls      has a viewer been shown a stop?                                 (pure)
    sleeper     a bare process that tells how long this machine let it wait
    case        what fails, who watches, and what must hold
    ways        who is fed by whom, where each has two parents
    trial       one run of a case, from the first client's start to the last one's end
    cases       the cases in which something fails once
    detours     how a stream goes around a slow node                            (pure)
    hops        chains of links that lose packets
    loops       did nodes ever feed each other in a ring?                       (pure)
    churn       ten minutes in which one node after the other dies or starts
    simulated   thousands of nodes in one process
    findings    runs -> figures and a verdict                                   (pure)
    cli         the command
"""
