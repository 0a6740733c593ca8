"""The lab: CORE scenarios run in Linux network namespaces, without CORE.

scenario      a CORE scenario file -> topology (pure)
topology      the frozen dataclasses of a scenario
options       what a link does to its packets; text such as `delay=20ms`
impairment    the packet scheduler behind a shaped link (pure)
emulation     the process that carries packets between TAP devices, and its handle
plumbing      a topology -> lines for `ip -batch` (pure)
namespaces    entering namespaces, finding and ending the processes in them
rundir        what a lab leaves on disk, so that a dead one can be cleaned up
lab           `Lab`, the context manager that joins all this
cli           `mcast-lab`
"""
