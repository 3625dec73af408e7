"""What is checked on the board, in order. Each check leaves the site as it found it, and raises what is wrong."""

import re
import threading

from balanced import SERVICE, TEXT
from common import Failed
from load import BODY, Load


def expect(condition, what):
    if not condition:
        raise Failed(what)


def boot(site, _figures):
    """starts without entropy, in 1970, on a root that cannot be written to"""
    status, _, _ = site.curl()
    expect(status == 503, f"a configuration without servers is answered {status}")
    random = site.board.try_run("dmesg | grep 'crng init done'")[1]
    expect(not random, f"there was entropy, so nothing is shown: {random}")
    expect(site.board.run("date +%Y") == "1970", "the clock is set, so nothing is shown")
    expect("read-only" in site.board.try_run("touch /usr/sbin/x")[1].lower(), "the root can be written to")


def configure(site, _figures):
    """a configuration is written, and a restart takes it"""
    site.set_up()
    expect(site.config in site.board.run(f"{SERVICE} status"), "it runs with another file")


def serves(site, _figures):
    """serves: curl from outside, a client inside, users stay on their server"""
    for _ in range(2):
        status, fields, body = site.curl()
        expect(status == 200 and body.encode() == BODY, f"not the answer of a backend: {status} {body!r}")
    cookie = re.search(r"(?i)set-cookie: (SRV=\w+)", fields)
    expect(cookie, f"no cookie: {fields}")
    for _ in range(3):
        status, fields, _ = site.curl("/", "-H", f"Cookie: {cookie.group(1)}")
        expect(status == 200 and "set-cookie" not in fields.lower(), f"moved from its server: {status} {fields}")
    expect(site.curl("/far/")[2] == "from afar\n", "the far backend does not answer")
    site.board.run("/tmp/client keep 80 200 4")


def privileges(site, _figures):
    """privileges: another user, no capability, an empty root, in every thread"""
    # The ids of passwd and group in the image.
    wanted = {"Uid": "900 900 900 900", "Gid": "900 900 900 900", "Groups": "", "NoNewPrivs": "1",
              **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0000000000000000")}
    said = site.board.run(f"cat /proc/{site.pid()}/task/*/status")
    for name, value in wanted.items():
        found = re.findall(rf"^{name}:(.*)$", said, re.MULTILINE)
        expect(found and all(" ".join(each.split()) == value for each in found), f"{name} is {found} and not {value}")
    expect(site.board.run(f"readlink /proc/{site.pid()}/root") == "/var/empty", "its root is another folder")


def start(site, figures):
    """starts: from exec to the first proxied byte"""
    run = site.board.run
    measured = []
    # While nothing in the board works its clock follows the machine's, stalls of that included: the best of three is the board's.
    for port in (8100, 8101, 8102):
        run(f"sed 's/0.0.0.0:80$/127.0.0.1:{port}/' {site.config} >/tmp/second.conf")
        pid, microseconds = run(f"/tmp/client start {port} /usr/sbin/beelance run -c /tmp/second.conf 2>/dev/null").split()
        measured.append(int(microseconds))
        run(f"kill {pid}")
    figures["exec to the first proxied byte, ms"] = f"{min(measured) / 1000:.1f}"
    expect(min(measured) <= 50_000, f"{measured} us from exec to the first byte: 50 ms were promised")


def idle(site, figures):
    """idle: resident memory"""
    figures["resident after the first requests, kB"] = site.pages_kb("Rss")
    figures["of it anonymous, kB"] = site.pages_kb("Anonymous")
    figures["MemTotal, kB"] = site.total_kb()
    figures["MemAvailable, kB"] = site.available_kb()


def probes(site, _figures):
    """a backend is killed under load and comes back: no request fails"""
    with Load(site.board.ports[80]) as load:
        site.state_changes("default/one", "DOWN", lambda: site.kill_backend("one"))
        load.more(200)
        site.state_changes("default/one", "UP", lambda: site.start_backend("one"))
        load.more(200)


def clock(site, _figures):
    """the clock jumps by decades under load: nothing happens"""
    downs = site.logged("is DOWN")
    with Load(site.board.ports[80]) as load:
        for date in ("2026-11-27 12:00:00", "1999-12-31 23:59:50", "2037-01-01 00:00:00", "2001-09-09 01:46:39"):
            site.board.run(f"date -s '{date}'")
            load.more(150)
        # A request that waits for its backend over a jump is not late either.
        answers = held(site)
        site.board.run("date -s '2030-01-01 00:00:00'")
        load.more(50)
        release(site, answers)
    expect(site.logged("is DOWN") == downs, "a probe failed")


def held(site):
    """Sends a request that the far backend holds; the list into which its answer comes, when it is let go."""
    answers = []

    def ask():
        try:
            answers.append(site.curl("/far/held"))
        except Failed as failed:
            answers.append((0, "", str(failed)))

    site.far.arrived.clear()
    site.far.let_go.clear()
    site.asking = threading.Thread(target=ask, daemon=True)
    site.asking.start()
    expect(site.far.arrived.wait(90), "a request does not reach the far backend")
    return answers


def release(site, answers):
    site.far.let_go.set()
    site.asking.join(90)
    expect(answers and answers[0][0] == 200, f"a request that was held got {answers}")


def reload(site, _figures):
    """reloaded 20 times under load, a server more, a server less: no request fails, memory stays"""
    run, pid = site.board.run, site.pid()
    run(f"cp {site.config} /tmp/two.conf && {{ cat /tmp/two.conf; echo 'backend.three = 127.0.0.1:8001'; }} >/tmp/three.conf")
    anonymous_kb = []
    with Load(site.board.ports[80]) as load:
        for name in ("three", "two") * 10:
            before = site.logged("reloaded ")
            run(f"cp /tmp/{name}.conf {site.config} && {SERVICE} reload")
            site.wait_for_log("reloaded .*backend.three", before)
            load.more(10)
            anonymous_kb.append(site.pages_kb("Anonymous"))
    expect(site.pid() == pid, "another process runs")
    expect(anonymous_kb[-1] <= anonymous_kb[7] + 8, f"anonymous memory grew: {anonymous_kb}")


def upgrade(site, _figures):
    """upgraded in place under load: the same process, no request fails, what was in flight is finished"""
    pid, over = site.pid(), site.logged("connections of before are over")
    with Load(site.board.ports[80]) as load:
        answers = held(site)
        for _ in range(4):
            before = site.logged("it took over")
            site.board.run(f"{SERVICE} upgrade")
            site.wait_for_log("it took over", before)
            load.more(30)
        expect(not answers, f"an answer before it was given: {answers}")
        release(site, answers)
        site.wait_for_log("connections of before are over", over)
        load.more(30)
    expect(site.pid() == pid and site.board.try_run(f"kill -0 {pid}")[0] == 0, "another process runs")


def no_writes(site, figures):
    """nothing is written to a disk by 1,000 requests, nor are there more descriptors or more memory after them"""
    run = site.board.run
    writes = "sync; cat /sys/block/vd*/stat | awk '{ sum += $5 } END { print sum }'"
    # What is used for the first time comes in by pages: some rounds may be the first to need it, not one after the other.
    for _ in range(6):
        resident = site.pages_kb("Rss")
        run("/tmp/client keep 80 1000 16")
        if site.pages_kb("Rss") <= resident + 4:
            break
    before, resident = int(run(writes)), site.pages_kb("Rss")
    run("/tmp/client keep 80 1000 16")
    after = int(run(writes))
    expect(before > 0, "the configuration was written to the disk and is not counted: nothing is shown")
    expect(after == before, f"{after - before} writes to a disk")
    expect(run(f"sed -n 's/^write_bytes: //p' /proc/{site.pid()}/io") == "0", "beelance writes to a disk")
    expect(site.pages_kb("Rss") <= resident + 4, f"resident memory grew from {resident} kB to {site.pages_kb('Rss')} kB")
    figures["resident after 2,000 requests of 16 clients, kB"] = site.pages_kb("Rss")


def link(site, _figures):
    """the cable is pulled, the interface taken down, and both come back"""
    monitor, run = site.board.monitor, site.board.run
    site.restart()
    run("/tmp/client keep 80 100 1")
    expect(site.curl("/far/")[0] == 200, "the far backend does not answer")
    descriptors = site.descriptors()
    for off, on in (
        (lambda: monitor.ask("set_link", name="net", up=False), lambda: monitor.ask("set_link", name="net", up=True)),
        (lambda: run("ip link set eth0 down"), lambda: run("ip link set eth0 up")),
    ) * 2:
        site.state_changes("far/far", "DOWN", off)
        run("/tmp/client keep 80 100 1")
        site.state_changes("far/far", "UP", on)
        expect(site.curl("/far/")[0] == 200, "the far backend does not answer any more")
    site.board.until(f"[ $(ls /proc/{site.pid()}/fd | wc -l) -le {descriptors} ]", "no descriptor has leaked")


def drain(site, _figures):
    """stops: what is in flight is finished, nothing new is taken, the exit code is 0"""
    ended, finishing = site.logged("beelance ended with 0"), site.logged("finishing")
    answers = held(site)
    site.board.run(f"{SERVICE} stop >/tmp/stop 2>&1 &")
    site.wait_for_log("finishing", finishing)
    expect(site.board.try_run("/tmp/client fresh 80 1")[0] != 0, "a connection was taken while stopping")
    expect(not answers, f"an answer before it was given: {answers}")
    release(site, answers)
    site.wait_for_log("beelance ended with 0", ended)
    site.board.until(f"! {SERVICE} status 2>/dev/null", "it has stopped")
    site.board.run(f"{SERVICE} start")
    site.board.until("/tmp/client fresh 80 1", "it serves again")


def crash(site, _figures):
    """killed, it is started again; a file that is wrong stops neither restart nor reload"""
    before = site.pid()
    site.board.run(f"kill -9 {before}")
    site.board.until(f"[ $(cat /run/beelance.pid) != {before} ] && /tmp/client fresh 80 1", "it is started again")
    pid = site.pid()
    site.board.run("cp /rw/beelance.conf /tmp/good.conf; echo 'backend.thre.maxcon = 1' >>/rw/beelance.conf")
    for word in ("restart", "reload", "check"):
        status, said = site.board.try_run(f"{SERVICE} {word}")
        expect(status == 1 and f"/rw/beelance.conf:{len(TEXT.splitlines()) + 1}: backend.thre" in said, f"{word} ended with {status}: {said}")
    site.board.run("cp /tmp/good.conf /rw/beelance.conf")
    expect(site.pid() == pid, "a wrong file had it started again")
    expect(site.curl()[0] == 200, "a wrong file stopped it")


def small(site, figures):
    """serves with 12 MB less (mem=52M), from a root in memory"""
    expect("read-only" in site.board.try_run("touch /usr/sbin/x")[1].lower(), "the root can be written to")
    site.board.run("/tmp/client keep 80 1000 64")
    expect(site.curl("/far/")[0] == 200, "the far backend does not answer")
    figures["MemTotal, kB"] = site.total_kb()
    figures["MemAvailable, kB"] = site.available_kb()
    figures["resident after 1,000 requests of 64 clients, kB"] = site.pages_kb("Rss")


def watchdog(site, _figures):
    """the watchdog: fed while the loop turns, let go at the end, and a loop that stands still resets the board"""
    run, state = site.board.run, "cat /sys/class/watchdog/watchdog0/state"
    expect(run(state) == "inactive", "somebody else has the watchdog")
    run(f"echo 'watchdog = /dev/watchdog' >>{site.config}")
    site.restart()
    expect(run(state) == "active", "it is not in use")
    # Twice as long as it would wait.
    past = float(run("cut -d' ' -f1 /proc/uptime")) + 2 * int(run("cat /sys/class/watchdog/watchdog0/timeout"))
    site.board.until(f"[ $(cut -d. -f1 /proc/uptime) -gt {past:.0f} ]", "time passes")
    expect(site.curl()[0] == 200, "it does not serve")
    run(f"{SERVICE} stop")
    expect(run(state) == "inactive", "it still counts after a clean end")
    run(f"{SERVICE} start")
    site.board.until("/tmp/client fresh 80 1", "it serves")
    site.board.type(f"kill -STOP {site.pid()}\n")
    site.board.wait_for("softdog: Initiating system reboot")
    site.board.wait_for_end()
