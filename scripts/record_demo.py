"""Record capture/data/demo.pcapng, the capture that `netwatch demo` plays: real traffic between real programs.

Ten hosts, each a network namespace, on the bridge `lan0` of a gateway; behind the gateway, over a cable with a delay
and some loss, a site elsewhere. Everything has an address of the documentation ranges (RFC 5737, RFC 3849), a name
under .example (RFC 2606) and a locally administered MAC address. tcpdump listens on the bridge.

    sudo python3 scripts/record_demo.py [--seconds 60] [--output capture/data/demo.pcapng]

Needs root on Linux and, as Debian packages: iproute2 ethtool procps tcpdump nginx-light dnsmasq-base avahi-daemon
openssh-server openssh-client nmap chrony isc-dhcp-client curl openssl bind9-dnsutils iputils-ping
iputils-arping ndisc6.
Nothing of it reaches the machine's own interfaces, and nothing is left behind. Clocks are only read (chronyd -x).
"""

# Command lines are written as one types them, and split.
# ruff: noqa: SIM905

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from demo_file import write_pcapng
from demo_network import Host, Network, sh

APPLICATION: Final = "netwatch scripts/record_demo.py"
ROOT: Final = Path(__file__).resolve().parent.parent
LAN6, FAR6 = "2001:db8:1:", "2001:db8:2:"
VISITORS: Final = (
    "198.51.100.7",
    "198.51.100.23",
    "198.51.100.80",
    "203.0.113.5",
    "203.0.113.77",
    f"{FAR6}:7",
    f"{FAR6}:23",
)
SITES: Final = ("shop.example", "docs.example", "mail.example", "legacy.example", "api.example")
CAMERA, RECORDER, VLAN = "192.0.2.130", "192.0.2.131", 30
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

PROGRAMS: Final = (
    "ip ethtool sysctl tcpdump nginx dnsmasq avahi-daemon sshd ssh ssh-keygen nmap chronyd dhclient curl openssl dig "
    "ping arping rdisc6 unshare"
).split()

NGINX: Final = """
daemon off; pid {work}/{name}.pid; error_log {work}/{name}.log; user root; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; server_tokens off; keepalive_timeout 5s; default_type text/html; charset utf-8;
  types {{ text/css css; application/json json; image/svg+xml svg; text/plain txt; application/octet-stream bin; }}
  client_body_temp_path {work}/{name}.tmp; proxy_temp_path {work}/{name}.tmp; fastcgi_temp_path {work}/{name}.tmp;
  uwsgi_temp_path {work}/{name}.tmp; scgi_temp_path {work}/{name}.tmp;
  ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2; root {work}/www;
    location /orders {{ return 201 '{{"order": 4711, "state": "accepted"}}'; }}
    location /old/ {{ return 301 /; }}
    location /files/ {{ limit_rate 12k; }}
  }}
  server {{ listen 8080 http2; root {work}/www; }}
}}
"""

DNSMASQ: Final = """
no-hosts
no-resolv
no-poll
local=/example/
domain=home.example
dhcp-authoritative
dhcp-leasefile={work}/leases
pid-file={work}/dnsmasq.pid
user=root
interface=lan0
bind-interfaces
log-facility={work}/dnsmasq.log
dhcp-range=192.0.2.50,192.0.2.99,2m
dhcp-range=2001:db8:1::,ra-stateless
dhcp-option=option:ntp-server,192.0.2.1
dhcp-option=option6:dns-server,[2001:db8:1::1]
enable-ra
ra-param=lan0,8
host-record=gw.example,192.0.2.1,2001:db8:1::1
host-record=ntp.example,192.0.2.1,2001:db8:1::1
host-record=server.example,192.0.2.10,2001:db8:1::10
host-record=printer.example,192.0.2.30
host-record=news.example,198.51.100.7,2001:db8:2::7
host-record=cdn.example,198.51.100.23,2001:db8:2::23
{sites}
mx-host=example,mail.example,10
srv-host=_imaps._tcp.example,mail.example,993
txt-record=example,"v=spf1 mx -all"
cname=www.example,shop.example
local-ttl=30
"""

AVAHI: Final = """
[server]
host-name={name}
allow-interfaces=eth0
enable-dbus=no
[publish]
publish-hinfo=no
publish-workstation=no
"""

SERVICE: Final = """<service-group><name>{label}</name>
<service><type>{kind}</type><port>{port}</port><txt-record>note=second floor</txt-record></service></service-group>
"""

SSHD: Final = """
Port 22
HostKey {work}/host_key
AuthorizedKeysFile {work}/client_key.pub
PidFile {work}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
DebianBanner no
"""

LEASE: Final = """#!/bin/sh
# what dhclient runs when it has an answer: only the address and the route, no file of the machine is touched
case "$reason" in
  BOUND|RENEW|REBIND)
    ip addr replace "$new_ip_address/25" dev "$interface"
    ip route replace default via "$new_routers" ;;
esac
exit 0
"""


def write_files(work: Path) -> None:
    """Pages, configurations, a certificate and keys that live as long as the recording."""
    pages = work / "www"
    (pages / "files").mkdir(parents=True)
    article = "<p>Packets come and packets go; what remains is what was counted.</p>\n"
    (pages / "index.html").write_text("<!doctype html><title>shop</title>\n" + article * 6)
    (pages / "article.html").write_text("<!doctype html><title>news</title>\n" + article * 24)
    (pages / "style.css").write_text("body { font: 1rem sans-serif; margin: 2rem }\n" * 9)
    (pages / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><circle r="8"/></svg>\n')
    (pages / "stock.json").write_text('{"tea": 12, "coffee": 7, "biscuits": 0}\n')
    (pages / "files" / "map.bin").write_bytes(random.Random(1).randbytes(36_000))

    names = ",".join(f"DNS:{site}" for site in (*SITES, "news.example", "cdn.example"))
    sh(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650".split(),
        "-subj",
        "/CN=shop.example",
        "-addext",
        f"subjectAltName={names}",
        "-keyout",
        f"{work}/key.pem",
        "-out",
        f"{work}/cert.pem",
    )
    for key in ("host_key", "client_key"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo.example", "-f", f"{work}/{key}")

    (work / "resolv.conf").write_text("nameserver 192.0.2.1\noptions timeout:1\n")
    for name in ("server", "remote"):
        (work / f"{name}.nginx").write_text(NGINX.format(work=work, name=name))
    records = "\n".join(f"host-record={site},192.0.2.10,2001:db8:1::10" for site in SITES)
    (work / "dnsmasq.conf").write_text(DNSMASQ.format(work=work, sites=records))
    (work / "sshd.conf").write_text(SSHD.format(work=work))
    (work / "ntp-server.conf").write_text("local stratum 3\nallow all\ncmdport 0\n")
    (work / "ntp-client.conf").write_text("server 192.0.2.1 iburst minpoll 1 maxpoll 2\ncmdport 0\nport 0\n")
    (work / "dhclient.conf").write_text(
        'send host-name = concat("lab-", binary-to-ascii(16, 8, "", suffix(hardware, 1)));\nrequest routers, '
        "domain-name-servers, domain-name, ntp-servers;\n"
    )
    (work / "lease").write_text(LEASE)
    (work / "lease").chmod(0o755)
    for name, label, kind, port in (
        ("printer", "Printer in the hall", "_ipp._tcp", 631),
        ("nas", "Family photos", "_smb._tcp", 445),
    ):
        (work / f"{name}.avahi").mkdir()
        (work / f"{name}.avahi" / "service.service").write_text(SERVICE.format(label=label, kind=kind, port=port))
        (work / f"{name}.conf").write_text(AVAHI.format(name=name))


def build(net: Network) -> None:
    """Hosts, bridge, cables and addresses. Laptop and phone get theirs later, by DHCP and router advertisements."""
    gw = net.host("gw", "02:00:5e:10:00:01")
    gw.configure(*"ip link add lan0 type bridge mcast_snooping 0".split())
    gw.configure(*f"ip link set lan0 address {gw.mac}".split())
    gw.configure(
        "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.icmp_ratelimit=0"
    )
    # -e: where the kernel has a firewall on bridges, it would drop the packets that are broken on purpose
    firewall = (f"net.bridge.bridge-nf-call-{tables}=0" for tables in ("iptables", "ip6tables", "arptables"))
    gw.configure("sysctl", "-eqw", *firewall)
    gw.configure(*"ethtool -K lan0 tx off gso off tso off gro off".split())

    names = "server desk laptop phone printer nas lab camera recorder".split()
    for number, name in enumerate(names, 0x10):
        host = net.host(name, f"02:00:5e:10:00:{number:02x}")
        if name in ("camera", "recorder"):
            switch = net.host(f"port-{name}", "")
            net.link((host, "eth0"), (switch, "inner"))
            net.link((switch, "outer"), (gw, f"p-{name}"))
            switch.spawn(
                *switch.own("wire", *"--inner inner --outer outer --delay_ms 0 --loss 0".split(), "--tag", str(VLAN))
            )
        else:
            net.link((host, "eth0"), (gw, f"p-{name}"))
        gw.configure("ip", "link", "set", f"p-{name}", "master", "lan0")
    remote, cable = net.host("remote", "02:00:5e:20:00:07"), net.host("cable", "")
    net.link((remote, "eth0"), (cable, "inner"))
    net.link((cable, "outer"), (gw, "wan0"))
    cable.spawn(*cable.own("wire", *"--inner inner --outer outer --delay_ms 8 --loss 0.004 --tag 0".split()))
    gw.configure("sysctl", "-qw", "net.ipv6.conf.wan0.disable_ipv6=0")

    def up(host: Host, interface: str, *addresses: str) -> None:
        for address in addresses:
            dad = ("nodad",) if ":" in address else ()
            host.configure("ip", "addr", "add", address, "dev", interface, *dad)
        host.configure("ip", "link", "set", interface, "up")

    up(gw, "lan0", "192.0.2.1/25", f"{LAN6}:1/64")
    up(gw, "wan0", "198.51.100.1/24", f"{FAR6}:1/64")
    gw.configure(*"ip route add 203.0.113.0/24 dev wan0".split())
    up(remote, "eth0", *(f"{visitor}/{64 if ':' in visitor else 24}" for visitor in VISITORS))
    for name, number in (("server", 10), ("desk", 20), ("printer", 30), ("nas", 40), ("lab", 66)):
        up(net.hosts[name], "eth0", f"192.0.2.{number}/25", f"{LAN6}:{number}/64")
        net.hosts[name].configure(*"ip route add default via 192.0.2.1".split())
    up(net.hosts["camera"], "eth0", f"{CAMERA}/25")
    up(net.hosts["recorder"], "eth0", f"{RECORDER}/25")
    remote.configure(*"ip route add 192.0.2.0/24 via 198.51.100.1".split())
    remote.configure("ip", "route", "add", f"{LAN6}:/64", "via", f"{FAR6}:1")
    for host in (net.hosts["server"], net.hosts["desk"]):
        host.configure("ip", "-6", "route", "add", f"{FAR6}:/64", "via", f"{LAN6}:1")

    # a tunnel from the server to the far site: VXLAN 42 (RFC 7348)
    for host, mine, peer, inner in (
        (net.hosts["server"], "192.0.2.10", VISITORS[0], "203.0.113.129/30"),
        (remote, VISITORS[0], "192.0.2.10", "203.0.113.130/30"),
    ):
        tunnel = f"type vxlan id 42 dstport 4789 local {mine} remote {peer} dev eth0"
        host.configure(*f"ip link add vx42 address {host.mac.replace(':5e:', ':42:')} {tunnel}".split())
        host.configure(*"ethtool -K vx42 tx off gso off tso off gro off".split())
        host.configure("sysctl", "-qw", "net.ipv6.conf.vx42.disable_ipv6=1")
        up(host, "vx42", inner)


def start_services(net: Network) -> None:
    """The programs that answer."""
    work, hosts = net.work, net.hosts
    hosts["gw"].spawn("dnsmasq", "--keep-in-foreground", f"--conf-file={work}/dnsmasq.conf")
    hosts["gw"].spawn("chronyd", "-d", "-x", "-F", "0", "-u", "root", "-f", f"{work}/ntp-server.conf")
    hosts["server"].spawn("nginx", "-c", f"{work}/server.nginx")
    hosts["remote"].spawn("nginx", "-c", f"{work}/remote.nginx")
    hosts["server"].spawn("/usr/sbin/sshd", "-D", "-f", f"{work}/sshd.conf")
    hosts["server"].spawn(*hosts["server"].own("echo", "--port", "7"))
    hosts["server"].spawn(*hosts["server"].own("sink", "--ports", "514", "8125"))
    hosts["recorder"].spawn(*hosts["recorder"].own("sink", "--ports", "5004"))
    hosts["camera"].spawn(sys.executable, "-m", "http.server", "--directory", f"{work}/www", "80")


Activity = Callable[[Network, float], None]
"""Gets the network and time.monotonic() of the recording's end; runs in a thread of its own."""


def every(low: float, high: float, host: str, choose: Callable[[random.Random], list[str]]) -> Activity:
    """Run on `host` what `choose` draws, with a pause of `low` to `high` seconds between, until the end."""

    def activity(net: Network, end: float) -> None:
        dice = random.Random(f"{host}{low}{high}")
        while time.monotonic() < end:
            net.hosts[host].run(*choose(dice), timeout=max(0.5, end - time.monotonic()))
            time.sleep(dice.uniform(low, high))

    return activity


def once(host: str, *command: str) -> Activity:
    """Run one program to its end, at most until the end of the recording."""
    return lambda net, end: net.hosts[host].run(*command, timeout=max(0.5, end - time.monotonic()))


def own(host: str, line: str) -> Activity:
    """The same for one of demo_programs.py."""
    return lambda net, end: once(host, *net.hosts[host].own(*line.split()))(net, end)


def curl(*urls: str, options: str = "", agent: str = FIREFOX) -> list[str]:
    """One client that fetches all of `urls`, over one connection where the server is the same."""
    return ["curl", "-s", "-k", "-A", agent, "--connect-timeout", "2", *options.split(), *urls]


def page(dice: random.Random) -> list[str]:
    """A page of the shop with what belongs to it, now and then something that is not there."""
    site, family = dice.choice(SITES[:2]), dice.choice(("-4", "-6"))
    extra = dice.choice(("logo.svg", "stock.json", "article.html", "missing.html", "old/index.html"))
    return curl(f"http://{site}/", f"http://{site}/style.css", f"http://{site}/{extra}", options=family)


def secure_page(dice: random.Random) -> list[str]:
    """TLS 1.3 for the most part, sometimes 1.2; HTTP/2 inside."""
    site = dice.choice(SITES)
    version = "--tls-max 1.2" if site == "legacy.example" else "--tlsv1.3"
    return curl(f"https://{site}/", f"https://{site}/stock.json", options=f"{version} {dice.choice(('-4', '-6'))}")


def far_page(dice: random.Random) -> list[str]:
    """A page from behind the gateway."""
    scheme, site = dice.choice(("http", "https")), dice.choice(("news.example", "cdn.example"))
    return curl(f"{scheme}://{site}/article.html", f"{scheme}://{site}/style.css", options=dice.choice(("-4", "-6")))


def visit(dice: random.Random) -> list[str]:
    """Somebody from far away at the server."""
    source = dice.choice(VISITORS)
    target = f"[{LAN6}:10]" if ":" in source else "192.0.2.10"
    scheme = dice.choice(("http", "https", "http"))
    path = dice.choice(("", "article.html", "stock.json", "admin.php", "orders"))
    data = " -d item=tea&count=2" if path == "orders" else ""
    return curl(
        f"{scheme}://{target}/{path}", options=f"-g --interface {source} -H Host:shop.example{data}", agent="curl"
    )


def question(dice: random.Random) -> list[str]:
    """A look-up; one in five does not exist."""
    name, kind = dice.choice(
        [(site, "A") for site in SITES]
        + [(site, "AAAA") for site in SITES]
        + [("example", "MX"), ("example", "TXT"), ("_imaps._tcp.example", "SRV"), ("www.example", "A")]
        + [("no-such-host.example", "A"), ("wpad.example", "A"), ("intranet.example", "AAAA")]
    )
    return ["dig", f"@{dice.choice(('192.0.2.1', '2001:db8:1::1'))}", "+tries=1", name, kind]


def typed_session(net: Network, end: float) -> None:
    """SSH with somebody at the keys: `cat` on a terminal echoes each of them."""
    options = "-tt -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=QUIET -i".split()
    command = ["ssh", *options, f"{net.work}/client_key", "root@server.example", "cat"]
    session = net.hosts["desk"].spawn(*command, feed=True)
    dice = random.Random(22)
    keyboard = session.stdin
    assert keyboard is not None
    text = b"the quick brown fox jumps over the lazy dog\n" * 8
    for number in range(len(text)):
        if time.monotonic() > end - 3:
            break
        keyboard.write(text[number : number + 1])
        keyboard.flush()
        time.sleep(dice.uniform(0.12, 0.55))
    keyboard.write(b"\x04")
    keyboard.close()


def join(name: str) -> Activity:
    """A host switches on: neighbour discovery, DHCP, DHCPv6, then the clock and the services of the link."""

    def activity(net: Network, end: float) -> None:
        host, work = net.hosts[name], net.work
        host.configure("ip", "link", "set", "eth0", "up")
        files = ["-cf", f"{work}/dhclient.conf", "-sf", f"{work}/lease"]
        own_files = ["-lf", f"{work}/{name}.leases", "-pf", f"{work}/{name}.dhclient.pid"]
        host.spawn("dhclient", "-4", "-d", *files, *own_files, "eth0")
        time.sleep(2.5)
        host.spawn(
            "dhclient",
            "-6",
            "-S",
            "-1",
            "-d",
            *files,
            "-lf",
            f"{work}/{name}.leases6",
            "-pf",
            f"{work}/{name}.6.pid",
            "eth0",
        )
        host.spawn("chronyd", "-d", "-x", "-F", "0", "-u", "root", "-f", f"{work}/ntp-client.conf")
        time.sleep(max(0.0, end - time.monotonic()))

    return activity


def switch_on(name: str) -> Activity:
    """A host with multicast DNS: it asks whether its names are free, then announces its service (RFC 6762)."""
    return lambda net, end: once(
        name, "avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", f"{net.work}/{name}.conf"
    )(net, end)


MISFITS: Final = (
    "misfits --interface eth0 --macs 02:00:5e:10:00:16 02:00:5e:10:00:10 "
    f"--addresses 192.0.2.66 192.0.2.10 {LAN6}:66 {LAN6}:10 --every 1.5"
)
SCAN: Final = "nmap -n -Pn --max-retries 0"
SERVICES: Final = "--names _services._dns-sd._udp.local _ipp._tcp.local _smb._tcp.local"

SCHEDULE: Final[list[tuple[float, Activity]]] = [
    # what runs from the first second to the last
    (0.0, every(1.0, 3.0, "desk", page)),
    (0.0, every(0.7, 1.9, "remote", visit)),
    (0.1, every(0.4, 1.3, "server", question)),
    (0.2, typed_session),
    (0.2, once("desk", *"ping -q -i 0.5 192.0.2.10".split())),
    (0.3, once("server", *f"ping -q -i 1 {LAN6}:20".split())),
    (0.3, own("camera", f"rtp --host {RECORDER} --port 5004 --every 0.25 --seconds 200")),
    (0.4, every(1.0, 3.0, "desk", secure_page)),
    (0.5, join("laptop")),
    (0.6, own("nas", "bursts --host 192.0.2.10 --port 8125 --every 4.5 --size 18 --seconds 200")),
    (0.8, own("desk", "syslog --host 192.0.2.10 --name desk --every 1.7 --seconds 200")),
    (1.0, own("lab", MISFITS)),
    (1.5, switch_on("printer")),
    (2.0, own("remote", "chat --host 192.0.2.10 --port 7 --pause 0.7 --rounds 40")),
    (2.5, once("server", *"ping -q -i 1.5 203.0.113.130".split())),
    (5.0, every(1.5, 4.0, "laptop", far_page)),
    (6.0, every(1.0, 3.0, "laptop", question)),
    # one thing after the other
    (3.0, once("lab", *"arping -q -c 4 -I eth0 192.0.2.10".split())),
    (4.0, own("desk", "trace --host 198.51.100.80 --hops 3")),
    (5.0, once("desk", *"rdisc6 -q -r 2 eth0".split())),
    (6.0, once("desk", *"ping -q -c 3 -s 4000 192.0.2.10".split())),
    (7.0, own("desk", f"mdns --address 192.0.2.20 {SERVICES}")),
    (8.0, once("desk", *curl("http://cdn.example/files/map.bin", options="-4"))),
    (10.0, once("recorder", *curl(f"http://{CAMERA}/stock.json", f"http://{CAMERA}/logo.svg", agent="recorder"))),
    (11.0, switch_on("nas")),
    (12.0, once("server", *curl("http://203.0.113.130/article.html", agent="backup"))),
    (13.0, once("desk", *curl("http://server.example:8080/", "http://server.example:8080/style.css",
                              options="--http2-prior-knowledge"))),
    (14.0, join("phone")),
    (17.0, every(1.5, 4.5, "phone", secure_page)),
    (18.0, once("desk", *f"ping -q -c 3 -s 4000 {LAN6}:10".split())),
    (19.0, once("desk", *"dig @192.0.2.1 +tcp +tries=1 example ANY".split())),
    (20.0, once("lab", *f"{SCAN} -sS --min-rate 60 --max-rate 80 -p 1-180,443,8080 192.0.2.10".split())),
    (25.0, once("phone", *curl("http://shop.example/files/map.bin", options="-6"))),
    (28.0, once("desk", *"dig @192.0.2.30 +tries=1 +time=1 nobody-listens.example".split())),
    (30.0, once("desk", "curl", "-s", "-4", "https://news.example/")),
    (32.0, once("desk", *"ping -q -c 2 -t 1 198.51.100.23".split())),
    (34.0, once("desk", *"ping -q -c 3 198.51.100.200".split())),
    (36.0, own("phone", f"mdns --address 0.0.0.0 {SERVICES}")),
    (38.0, once("lab", *f"{SCAN} -sU --max-rate 20 -p 53,67,123,161,500,514,1900,5353 192.0.2.1".split())),
    (42.0, once("laptop", *curl("https://shop.example/files/map.bin", options="-4"))),
    (44.0, own("laptop", "trace --host 203.0.113.5 --hops 3")),
    (46.0, once("recorder", *f"ping -q -c 6 -i 0.4 {CAMERA}".split())),
    (48.0, once("lab", *f"{SCAN} -sT --max-rate 60 -p 1-60 192.0.2.30".split())),
    (51.0, once("server", *curl("http://news.example/files/map.bin", options="-6", agent="backup"))),
    (53.0, once("lab", *"ping -q -c 3 -s 3000 192.0.2.20".split())),
    (55.0, own("desk", f"mdns --address 192.0.2.20 {SERVICES}")),
    (57.0, once("lab", *"arping -q -c 3 -U -I eth0 192.0.2.66".split())),
]  # fmt: skip
"""When (seconds from the start) what begins."""


def play(net: Network, seconds: float) -> int:
    """Let everything of the schedule happen. Returns when it began, as nanoseconds since 1970."""
    start, began = time.monotonic(), time.time_ns()
    end = start + seconds
    threads = []
    for at, activity in sorted(SCHEDULE, key=lambda entry: entry[0]):
        if at < seconds:
            time.sleep(max(0.0, start + at - time.monotonic()))
            threads.append(threading.Thread(target=activity, args=(net, end), daemon=True))
            threads[-1].start()
    time.sleep(max(0.0, end - time.monotonic()))
    return began


def record(output: Path, seconds: float) -> int:
    """Build, play, write. Returns the number of packets."""
    with tempfile.TemporaryDirectory(prefix="netwatch-demo-") as folder:
        work = Path(folder)
        net = Network(work)
        try:
            write_files(work)
            build(net)
            start_services(net)
            time.sleep(2.5)
            gw = net.hosts["gw"]
            raw = work / "demo.pcap"
            dump = gw.spawn("tcpdump", *"-i lan0 -n -s 0 -Z root --time-stamp-precision=nano -w".split(), str(raw))
            time.sleep(1)
            began = play(net, seconds)
            time.sleep(1.5)  # the kernel hands over a block that is not full after a second
            dump.terminate()
            dump.wait(5)
            times = (began, began + int(seconds * 1e9))
            return write_pcapng(raw, output, application=APPLICATION, interface="lan0", mac=gw.mac, times=times)
        finally:
            net.close()


def main() -> int:
    """Check what is needed, record, say what came of it."""
    parser = argparse.ArgumentParser(description="Record the capture that `netwatch demo` plays.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--output", type=Path, default=ROOT / "capture" / "data" / "demo.pcapng")
    options = parser.parse_args()
    missing = [program for program in PROGRAMS if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if missing:
        print(f"record_demo: not installed: {' '.join(missing)} (see the top of this script)", file=sys.stderr)
        return 1
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        print(
            "record_demo: makes network namespaces, so it needs root: sudo python3 scripts/record_demo.py",
            file=sys.stderr,
        )
        return 77
    packets = record(options.output, options.seconds)
    print(f"{options.output}: {packets} packets, {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
