#!/usr/bin/env python3
"""Records which servers a real nginx chooses; writes the *.txt files beside it.

Run by hand, with nginx in PATH (made with 1.22.1, one worker):

    python3 capture.py

Each case of a file carries the upstream block nginx ran, the tests read the
servers from it. What a file's lines mean is said at its head. nginx and the
backends listen on loopback only and end with the script.
"""
import http.client, os, shutil, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
FRONT = 18900
A = ["127.0.0.1:%d" % p for p in range(18901, 18917)]
V6 = ["[::1]:%d" % p for p in range(18921, 18925)]
UNIX = ["unix:/tmp/spillway-capture-%d.sock" % i for i in range(3)]

CONF = """
daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log {d}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {d}/b; proxy_temp_path {d}/p;
  fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
  {upstreams}
  server {{
    listen 127.0.0.1:{front}; keepalive_requests 1000000;
    proxy_next_upstream {next};
    add_header X-Up "$upstream_addr" always; add_header X-St "$upstream_status" always; add_header X-Sec $msec always;
    {locations}
  }}
  {backends}
}}
"""


class Nginx:
    """One nginx with the upstreams of cases {name: block}."""

    def __init__(self, cases, backends=(), next="error"):
        self.dir = tempfile.mkdtemp()
        listen = " ".join("listen %s;" % b for b in backends)
        with open(self.dir + "/conf", "w") as f:
            f.write(CONF.format(
                d=self.dir, front=FRONT, next=next,
                upstreams="\n".join("upstream %s {\n%s\n}" % c for c in cases.items()),
                locations="\n".join("location = /%s { proxy_pass http://%s; }" % (n, n) for n in cases),
                backends="server { %s return 200; }" % listen if backends else ""))
        self.proc = subprocess.Popen(["nginx", "-p", self.dir, "-c", self.dir + "/conf"])
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", FRONT)).close()
                break
            except OSError:
                time.sleep(0.05)
        self.conn = http.client.HTTPConnection("127.0.0.1", FRONT)

    def get(self, case, key=""):
        """Returns [(address, status)] of all tries and nginx's second."""
        self.conn.request("GET", "/%s?k=%s" % (case, key))
        r = self.conn.getresponse()
        r.read()
        up, st = r.getheader("X-Up").split(", "), r.getheader("X-St").split(", ")
        return list(zip(up, st)), int(float(r.getheader("X-Sec")))

    def close(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.dir)
        for u in UNIX:
            if os.path.exists(u[5:]):
                os.unlink(u[5:])


def servers(*lines):
    return "\n".join("  server %s;" % l for l in lines)


def write(name, head, blocks):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("".join("# %s\n" % l for l in head) + "\n" + "\n".join(blocks))


def block(name, conf, lines):
    return "case %s\n%s\n%s\n" % (name, conf, "\n".join(lines))


def index_of(conf):
    """The number of each server: its place among the server lines."""
    addrs = [l.split()[1].rstrip(";") for l in conf.split("\n") if l.strip().startswith("server ")]
    addrs = [a.replace("localhost", "127.0.0.1") for a in addrs]
    return {a: "0123456789abcdefghijklmnopqrstuvwxyz"[i] for i, a in enumerate(addrs)}


def wrap(s, n=100):
    return ["pick " + s[i:i + n] for i in range(0, len(s), n)]


# --- round robin, everything answers -------------------------------------

def round_robin():
    cases = {
        "w1_1_1": servers(*A[:3]),
        "w3_1_2": servers(A[0] + " weight=3", A[1], A[2] + " weight=2"),
        "w5_1_1": servers(A[0] + " weight=5", A[1], A[2]),
        "w1_5_1": servers(A[0], A[1] + " weight=5", A[2]),
        "w7_3": servers(A[0] + " weight=7", A[1] + " weight=3"),
        "w100_1_50_25": servers(A[0] + " weight=100", A[1], A[2] + " weight=50", A[3] + " weight=25"),
        "w4_2_down_3": servers(A[0] + " weight=4", A[1] + " weight=2", A[2] + " weight=9 down", A[3] + " weight=3"),
        "backup_unused": servers(A[0] + " weight=2", A[1] + " backup", A[2]),
        "backup_used": servers(A[0] + " down", A[1] + " backup weight=2", A[2] + " backup"),
        "w_many": servers(*["%s weight=%d" % (a, 1 + (i * 7) % 11) for i, a in enumerate(A)]),
    }
    ng = Nginx(cases, A)
    out = []
    for name, conf in cases.items():
        idx = index_of(conf)
        out.append(block(name, conf, wrap("".join(idx[ng.get(name)[0][0][0]] for _ in range(400)))))
    ng.close()
    write("round_robin.txt", ["Smooth weighted round robin of nginx 1.22.1, one worker: 400 requests in a row.",
                              "Each letter of a pick line is the place of the server that got the request."], out)


# --- hash KEY and hash KEY consistent ------------------------------------

KEYS = 2500


def hash_cases(kind):
    h = "  hash $arg_k%s;\n" % kind
    return {
        "equal3": h + servers(*A[:3]),
        "weights": h + servers(A[0] + " weight=5", A[1], A[2] + " weight=3", A[3] + " weight=10"),
        "sixteen": h + servers(*A),
        "two": h + servers(A[1] + " weight=2", A[0] + " weight=3"),
        "mixed": h + servers(A[0], V6[0] + " weight=2", UNIX[0], V6[1], UNIX[1] + " weight=3"),
        "down": h + servers(A[0], A[1] + " down weight=3", A[2], A[3] + " down"),
        "names": h + servers("localhost:18901 weight=2", A[1], "localhost:18903", A[3] + " weight=2"),
        "single": h + servers(A[0]),
    }


def hash_retry_cases(kind):
    # Refuses connections: the last three of A are no backends in this run.
    h = "  hash $arg_k%s;\n" % kind
    dead = A[13:]
    return {
        "retry": h + servers(A[0], dead[0] + " max_fails=0 weight=2", A[1] + " weight=2", dead[1] + " max_fails=0", A[2]),
        "skip_failed": h + servers(A[0], dead[2] + " max_fails=1 fail_timeout=1h weight=4", A[1] + " weight=2", A[2]),
        "mostly_down": h + servers(A[0], *["%s weight=9 down" % a for a in A[1:5]]),
        "two_left": h + servers(A[0], A[5] + " weight=2", *["%s weight=9 down" % a for a in A[1:5]]),
        "two_left_retry": h + servers(A[0], dead[0] + " max_fails=0", A[5], dead[1] + " max_fails=0 weight=2", *["%s weight=6 down" % a for a in A[1:5]]),
        "all_fail": h + servers(*["%s max_fails=0" % d for d in dead]),
    }


def hashes(file, kind):
    cases = hash_cases(kind)
    ng = Nginx(cases, A + V6 + UNIX)
    out = []
    for name, conf in cases.items():
        idx = index_of(conf)
        out.append(block(name, conf, wrap("".join(idx[ng.get(name, "key-%d" % i)[0][0][0]] for i in range(KEYS)))))
    ng.close()
    cases = hash_retry_cases(kind)
    ng = Nginx(cases, A[:13])
    for name, conf in cases.items():
        idx = index_of(conf)
        tries = []
        for i in range(800):
            got, _ = ng.get(name, "key-%d" % i)
            tries.append("".join(idx[a] + ("+" if s == "200" else "-") for a, s in got if a != name))
        out.append(block(name, conf, ["try " + " ".join(tries[i:i + 20]) for i in range(0, 800, 20)]))
    ng.close()
    write(file, ["hash $arg_k%s of nginx 1.22.1, one worker. Keys are key-0, key-1, ... in order." % kind,
                 "pick: each letter is the place of the server one key went to.",
                 "try: each word is one key: servers in the order tried, + answered, - refused the connection."], out)


# --- a server that fails and recovers ------------------------------------

class Backend:
    """A server that can refuse connections and hold requests until let go."""

    def __init__(self, addr):
        self.addr, self.sock, self.at = addr, None, {}
        self.up()

    def up(self):
        host, port = self.addr.split(":")
        self.sock = socket.create_server((host, int(port)), backlog=64)
        threading.Thread(target=self.accept, args=(self.sock,), daemon=True).start()

    def down(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def accept(self, sock):
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        head = b""
        while b"\r\n\r\n" not in head:
            head += c.recv(4096)
        key = head.split(b"k=")[1].split()[0].decode()
        if key.startswith("hold"):
            gate = threading.Event()
            HELD[key] = (self.addr, gate)
            gate.wait()
        c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        c.close()


HELD = {}


def mid_second():
    """Leaves the edges of a second, so that one request sees one ngx_time()."""
    while not 0.15 < time.time() % 1 < 0.75:
        time.sleep(0.02)


def failures():
    cases = {
        "recover": servers(A[0] + " weight=5 max_fails=2 fail_timeout=2s", A[1] + " weight=2", A[2] + " weight=3"),
        "all_down": servers(A[0] + " fail_timeout=2s", A[1] + " fail_timeout=2s weight=2", A[2] + " backup"),
        "effective": servers(A[0] + " weight=10 max_fails=5 fail_timeout=3s", A[1] + " weight=4", A[2] + " weight=1"),
        "lc_fail": "  least_conn;\n" + servers(A[0] + " weight=4 max_fails=2 fail_timeout=2s", A[1] + " weight=2", A[2]),
    }
    # (what to do, before how many requests): d0 takes server 0 down, u0 brings it back, sN waits N seconds.
    script = {
        "recover": [("", 9), ("d0", 12), ("s1", 8), ("s2", 10), ("s1", 6), ("u0", 6), ("s2", 40), ("s1", 20)],
        "all_down": [("", 4), ("d0", 5), ("d1", 6), ("s1", 4), ("d2", 3), ("u2", 4), ("s3", 6), ("u0", 3), ("s3", 9), ("u1", 2), ("s3", 12)],
        "effective": [("", 10), ("d0", 4), ("u0", 40), ("d0", 12), ("s4", 3), ("u0", 3), ("s4", 60)],
        "lc_fail": [("", 9), ("d0", 8), ("s3", 6), ("u0", 4), ("s3", 30)],
    }
    out = []
    for name, conf in cases.items():
        backends = [Backend(a) for a in A[:3]]
        ng = Nginx({name: conf}, next="error")
        idx, lines = index_of(conf), []
        for act, n in script[name]:
            if act[:1] == "d":
                backends[int(act[1])].down()
            elif act[:1] == "u":
                backends[int(act[1])].up()
            elif act[:1] == "s":
                time.sleep(int(act[1]))
            for _ in range(n):
                mid_second()
                got, sec = ng.get(name, "x")
                lines.append("at %d %s" % (sec, "".join(idx[a] + ("+" if s == "200" else "-") for a, s in got if a != name) or "none"))
        ng.close()
        for b in backends:
            try:
                b.down()
            except OSError:
                pass
        out.append(block(name, conf, lines))
    write("failures.txt", ["Servers that fail and recover in nginx 1.22.1, one worker, proxy_next_upstream error.",
                           "at SECOND TRIES: one request; the places of the servers tried in order, + answered,",
                           "- refused the connection, none: no live upstreams."], out)


# --- least_conn with requests in flight -----------------------------------

def least_conn():
    import random
    rnd = random.Random(7)
    cases = {
        "equal": "  least_conn;\n" + servers(*A[:4]),
        "weights": "  least_conn;\n" + servers(A[0] + " weight=3", A[1], A[2] + " weight=2", A[3] + " weight=6"),
        "max_conns": "  least_conn;\n" + servers(A[0] + " max_conns=2 weight=5", A[1] + " max_conns=3", A[2] + " down", A[3] + " backup"),
    }
    out = []
    for name, conf in cases.items():
        backends = [Backend(a) for a in A[:4]]
        ng = Nginx({name: conf})
        idx, lines, live = index_of(conf), [], []
        for i in range(250):
            if live and (rnd.random() < 0.45 or len(live) > 14):
                key, conn = live.pop(rnd.randrange(len(live)))
                HELD.pop(key)[1].set()
                conn.getresponse().read()
                conn.close()
                time.sleep(0.003)  # nginx has seen the backend's close
                lines.append("end " + key[5:])
                continue
            key = "hold-%d" % i
            conn = http.client.HTTPConnection("127.0.0.1", FRONT)
            conn.request("GET", "/%s?k=%s" % (name, key))
            for _ in range(60):
                if key in HELD:
                    break
                time.sleep(0.005)
            if key not in HELD:
                r = conn.getresponse()
                assert r.getheader("X-Up") == name, r.getheader("X-Up")
                lines.append("begin %d none" % i)
                continue
            lines.append("begin %d %s" % (i, idx[HELD[key][0]]))
            live.append((key, conn))
        ng.proc.terminate()
        for key, _ in live:
            HELD.pop(key)[1].set()
        ng.close()
        for b in backends:
            b.down()
        out.append(block(name, conf, lines))
    write("least_conn.txt", ["least_conn of nginx 1.22.1, one worker, with requests held open.",
                             "begin REQUEST SERVER (its place; none: no live upstreams), end REQUEST."], out)


if __name__ == "__main__":
    todo = sys.argv[1:] or ["rr", "hash", "chash", "fail", "lc"]
    for t in todo:
        {"rr": round_robin, "hash": lambda: hashes("hash.txt", ""), "chash": lambda: hashes("hash_consistent.txt", " consistent"),
         "fail": failures, "lc": least_conn}[t]()
        print("captured", t)
