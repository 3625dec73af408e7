"""What scripts made with haproxyadmin do: look at everything, drain a server, change its weight, bring it back."""
import sys

from haproxyadmin import HAPROXY_METRICS, haproxy

proxy = haproxy.HAProxy(socket_file=sys.argv[1])
assert [listener.name for listener in proxy.frontends()] == ["web"], proxy.frontends()
assert [pool.name for pool in proxy.backends()] == ["shop"], proxy.backends()
assert sorted(server.name for server in proxy.servers()) == ["s1", "s2"], proxy.servers()
assert proxy.frontend("web").status == "OPEN"
assert proxy.totalrequests == int(sys.argv[2]), proxy.totalrequests
# Every attribute of it, and every metric but those that HAProxy 2.6 has not either, or beelance has not.
for name in dir(haproxy.HAProxy):
    getattr(proxy, name)
for name in set(HAPROXY_METRICS) - {"ZlibMemUsage", "MaxZlibMemUsage", "Uptime_sec", "Idle_pct"}:
    assert proxy.metric(name) >= 0, name
server = proxy.server("s1")[0]
assert server.status == "no check", server.status
assert server.setstate("drain") and server.status == "DRAIN", server.status
assert server.setstate("maint") and server.status == "MAINT", server.status
assert server.setstate("ready") and server.status == "no check", server.status
server.setweight(7)
assert int(server.weight) == 7, server.weight
