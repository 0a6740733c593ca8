"""Scenario files for tests, and how to break them."""

SCENARIO = """<scenario>
  <networks>{networks}</networks>
  <devices>{devices}</devices>
  <links>{links}</links>
  <service_configurations>{configurations}</service_configurations>
</scenario>"""

DEVICE = '<device id="{0}" name="{1}" type="PC"><services><service name="DefaultRoute"/></services></device>'

PAIR_LINK = """<link node1="1" node2="2">
  <iface1 id="0" name="eth0" mac="00:00:00:aa:00:01" ip4="10.9.0.1" ip4_mask="24"/>
  <iface2 id="0" name="eth0" mac="00:00:00:aa:00:02" ip4="10.9.0.2" ip4_mask="24"/>
  {options}
</link>"""

ROUTES = '<service name="{}" node="1"><templates><template name="{}">{}</template></templates></service>'


def scenario_xml(
    *, networks: str = "", devices: str = "", links: str = "", configurations: str = ""
) -> bytes:
    return SCENARIO.format(
        networks=networks, devices=devices, links=links, configurations=configurations
    ).encode()


def pair_xml(options: str = "") -> bytes:
    """Two hosts, a and b, and one link."""
    devices = DEVICE.format(1, "a") + DEVICE.format(2, "b")
    return scenario_xml(devices=devices, links=PAIR_LINK.format(options=options))
