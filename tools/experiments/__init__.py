"""The experiments of the course report, each one command: `python -m tools.experiments NAME`.

clients       7.1: one content, four clients: one copy per link, complete and identical recordings, skew
contents      7.2: two contents at once to two clients each
monitoring    7.3: the rendezvous point measures its servers and chooses; the slow link is moved
teardown      7.4: a client leaves, and the tree behind it falls silent up to the server
recovery      step 6: a relay is killed, a link is cut, and no viewer misses a packet

Each runs the real programs in the lab (root), started by `bin/core-*` with the files of
`resources/configs`, as a CORE user would start them; measures from outside, by the counters of the
interfaces, the recordings and the programs' events; prints a table of checks; and writes a report with
pictures. Around them:

    deployment  a scenario with its programs: start, watch, end
    counting    interface counters over time                          tally (pure)
    footage     the contents
    addresses   who is where: resources/configs/SCENARIO.core         (pure)
    routes      which links a packet takes                            (pure)
    branches    the overlay's tree laid over the links                (pure)
    recordings  complete? identical?
    skew        output times of several clients                       (pure)
    verdict, report, svg, map_picture, rate_picture, line_picture     what people see (pure)
"""
