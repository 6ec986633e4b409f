#!/usr/bin/env python3
"""Differential fuzzing of webby's HTTP/1.1, beside nginx and h2o.

    test/diff/http1_diff.py [--seconds N] [--seed N] [--mirror FILE] [--show]

Odd requests, made from seeds by mutations of the grammar of RFC 9112, go to webby under each paradigm (bench/mirror,
which says what it understood), to nginx and to h2o (which hand what they accept to a server that says the same).

Fails when
  * webby answers a request that is a part of another one's body, as far as anybody can tell: "/smuggled" is
    answered although neither of the others does;
  * the paradigms do not answer alike;
  * webby ends, or answers nothing where it should refuse.
Lists, with --show, what webby accepts and both others refuse, or the other way round: one line a kind, to be judged
by hand against the RFC (the judgements stand in test/diff/README.md).

A seed replays a run. Servers listen on free ports of 127.0.0.1 and are ended by their own ids.
"""
import argparse, asyncio, collections, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARADIGMS = ("coroutine", "thread", "event")
QUIET = 0.3  # seconds without a byte: nothing more comes
STRICTER = "refuses what both accept"
EVIL = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


# --- servers ---------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


class Servers:
    def __init__(self, mirror):
        self.folder = tempfile.mkdtemp(prefix="evc-diff.")
        self.processes, self.ports, self.ours = [], {}, {}
        for paradigm in PARADIGMS:
            process = subprocess.Popen([mirror, "--paradigm", paradigm], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
            self.processes.append(process)
            line = process.stdout.readline().decode()
            self.ports[paradigm] = int(re.search(r":(\d+)/", line).group(1))
            self.ours[paradigm] = process
        self.start_nginx()
        self.start_h2o()

    def start_nginx(self):
        if not shutil.which("nginx"): return
        front, self.back = free_port(), free_port()
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w") as f:
            f.write(f"""daemon off; master_process off; pid {self.folder}/nginx.pid; error_log /dev/null;
                events {{ worker_connections 4096; }}
                http {{ access_log off; client_body_temp_path {self.folder}; proxy_temp_path {self.folder};
                  fastcgi_temp_path {self.folder}; uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
                  large_client_header_buffers 4 32k; client_max_body_size 1m;
                  server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://127.0.0.1:{self.back}; }} }}
                  server {{ listen 127.0.0.1:{self.back};
                    location / {{ default_type text/plain; return 200 "$request_method $request_uri $content_length\\n"; }} }}
                }}""")
        self.processes.append(subprocess.Popen(["nginx", "-c", conf], stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL))
        if wait_for(front): self.ports["nginx"] = front

    def start_h2o(self):
        if not shutil.which("h2o") or "nginx" not in self.ports: return
        port = free_port()
        conf = os.path.join(self.folder, "h2o.conf")
        with open(conf, "w") as f:
            f.write(f"user: root\nlisten:\n  host: 127.0.0.1\n  port: {port}\nnum-threads: 1\nhosts:\n  default:\n"
                    f"    paths:\n      /:\n        proxy.reverse.url: http://127.0.0.1:{self.back}/\n")
        self.processes.append(subprocess.Popen(["h2o", "-c", conf], stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL))
        if wait_for(port): self.ports["h2o"] = port

    def fallen(self):
        return [name for name, process in self.ours.items() if process.poll() is not None]

    def end(self):
        for process in self.processes:
            if process.poll() is None: process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# --- a talk ----------------------------------------------------------------------------------------------

async def talk(port, pieces, quiet):
    """What a server answers, and whether it closed."""
    heard, closed = b"", False
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b"", "no connection"
    try:
        for i, piece in enumerate(pieces):
            if i: await asyncio.sleep(0.002)
            writer.write(piece)
        while True:
            got = await asyncio.wait_for(reader.read(65536), quiet)
            if not got:
                closed = True
                break
            heard += got
    except asyncio.TimeoutError:
        pass
    except OSError:
        closed = True
    finally:
        writer.close()
    return heard, closed


def responses(heard):
    """[(status, body)] of a stream of responses; a broken rest is (0, rest)."""
    out = []
    while heard:
        head, found, rest = heard.partition(b"\r\n\r\n")
        m = re.match(rb"HTTP/1\.[01] (\d\d\d)", head)
        if not m or not found:
            # nginx and h2o speak HTTP/0.9 to a malformed first line: a page without a head
            out.append((400 if b"<html" in heard or b"Bad Request" in heard else 0, heard[:40]))
            return out
        status = int(m.group(1))
        if status == 100:
            heard = rest
            continue
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            size = int(length.group(1))
            body, heard = rest[:size], rest[size:]
        elif re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            body = b""
            while True:
                line, _, rest = rest.partition(b"\r\n")
                size = int(line.split(b";")[0] or b"0", 16)
                body, rest = body + rest[:size], rest[size + 2:]
                if size == 0: break
            heard = rest
        elif status in (204, 304):
            body, heard = b"", rest
        else:
            body, heard = rest, b""
        out.append((status, body))
    return out


def gist(heard):
    """What was understood: a line for each accepted request, "no" for a refusal."""
    out = []
    for status, body in responses(heard):
        # A page for 404, 405 is an answer to an understood request, too.
        if status == 0: out.append(None)
        elif 200 <= status < 400 or status in (404, 405): out.append("yes " + body.decode("latin1").strip()[:120])
        else: out.append("no")
    return out


# --- requests --------------------------------------------------------------------------------------------

def seeds():
    host = b"Host: a\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n"
    return [
        b"GET /one HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /one?q=1 HTTP/1.1\r\n" + host + b"Accept: */*\r\nX: y\r\n\r\n",
        b"GET http://a/one HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /one HTTP/1.0\r\n\r\n",
        b"GET /one HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET /one HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n" + EVIL,
        b"GET /one HTTP/1.1\r\n" + host + b"\r\nGET /two HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /one HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello",
        b"POST /one HTTP/1.1\r\n" + host + b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL,
        b"POST /one HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhelloGET /two HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /one HTTP/1.1\r\n" + host + chunked + b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /one HTTP/1.1\r\n" + host + chunked + b"\r\n5;a=b\r\nhello\r\n3;c=\"d\"\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"POST /one HTTP/1.1\r\n" + host + chunked + b"\r\n%x\r\n" % len(EVIL) + EVIL + b"\r\n0\r\n\r\n",
        b"POST /one HTTP/1.1\r\n" + host + chunked + b"\r\n0\r\n\r\nGET /two HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /one HTTP/1.1\r\n" + host + b"Content-Length: %d\r\n" % len(EVIL) + chunked + b"\r\n" + b"0\r\n\r\n" + EVIL,
        b"POST /one HTTP/1.1\r\n" + host + chunked + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + EVIL,
        b"GET /one HTTP/1.1\r\n" + host + b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL,
        b"POST /one HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello" + EVIL,
        b"PUT /one HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n" + b"DELETE /two HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /one HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello" + EVIL,
        b"HEAD /one HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n",
    ]


FIELDS = [b"Host: b", b"Host:", b"Host: a:80", b"Host: a:x", b"Host: a, b", b"Host: [::1]", b"Host: a/b", b"host: a",
          b"Host : a", b"Host: a@b", b"Host: a\tb", b"Host: \xc3\xa4",
          b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: +5", b"Content-Length: -1",
          b"Content-Length: 5, 5", b"Content-Length: 5 5", b"Content-Length: 0x5", b"Content-Length: 05",
          b"Content-Length:\t5", b"Content-Length: 5\t ", b"Content-Length : 5", b"Content-Length\t: 5",
          b"Content-Length: 18446744073709551621", b"Content-Length: 99999999999999999999999",
          b"Content-Length: 9223372036854775808", b"Content-Length:", b"Content_Length: 5", b"Content-Length: 5\x0b",
          b"Content-Length: 5;", b"Content-Length: \xef\xbc\x95",
          b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: xchunked",
          b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked",
          b"Transfer-Encoding:chunked", b"Transfer-Encoding: chunked\t", b"Transfer-Encoding : chunked",
          b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunked;a=b",
          b"Transfer-Encoding:\r\n chunked", b"Transfer_Encoding: chunked", b"Transfer-Encoding: ,chunked",
          b"X-A: b\r\n c", b"X-A\r\n: b", b" X-A: b", b"\tX-A: b", b"X-A: \x00", b"X-A: a\rb", b"X-A", b": b", b"X A: b",
          b"X-A: b\nTransfer-Encoding: chunked", b"X-A: b\rTransfer-Encoding: chunked", b"X-A: \x7f", b"X-A: \x80",
          b"(X): y", b"X\x00: y", b"Connection: Transfer-Encoding", b"Connection: close", b"Connection: keep-alive",
          b"Connection: close, keep-alive", b"Connection: ,,close", b"Upgrade: h2c", b"Upgrade: websocket", b"TE: trailers",
          b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: x", b"Trailer: Content-Length", b"X" * 9000 + b": y",
          b"X: " + b"y" * 9000, b"Proxy: x", b"\xefX: y", b"X-A: \x0c"]
LINES = [b"GET", b"GET /", b"get /one HTTP/1.1", b"GET /one HTTP/1.2", b"GET /one HTTP/2.0", b"GET /one HTTP/1.01",
         b"GET /one HTTP/01.1", b"GET /one http/1.1", b"GET  /one HTTP/1.1", b"GET /one  HTTP/1.1", b"GET\t/one\tHTTP/1.1",
         b" GET /one HTTP/1.1", b"GET /one HTTP/1.1 ", b"GET /a b HTTP/1.1", b"GET /one\x00 HTTP/1.1", b"GET /\xc3\xa4 HTTP/1.1",
         b"GET /one#f HTTP/1.1", b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET a HTTP/1.1", b"GET a:80 HTTP/1.1",
         b"CONNECT a:80 HTTP/1.1", b"GET http://b/one HTTP/1.1", b"GET https://a/one HTTP/1.1", b"GET http://a HTTP/1.1",
         b"GET http://a?x HTTP/1.1", b"GET http:/one HTTP/1.1", b"GET //one HTTP/1.1", b"GET /one/../two HTTP/1.1",
         b"GET /../one HTTP/1.1", b"GET /%2e%2e/one HTTP/1.1", b"GET /%00 HTTP/1.1", b"GET /%zz HTTP/1.1", b"GET /% HTTP/1.1",
         b"GET /one?\x01 HTTP/1.1", b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"G\x00T /one HTTP/1.1", b"TRACE /one HTTP/1.1",
         b"GET /one HTTP/1.1\r\n GET /smuggled HTTP/1.1", b"GET /one?a HTTP/1.1\r", b"FOO /one HTTP/1.1", b"GET ?x HTTP/1.1",
         b"GET http://user@a/one HTTP/1.1", b"GET /one%20HTTP/1.1", b"GET /one HTTP/1.1\x0b", b"GET /one\\two HTTP/1.1"]
CHUNKS = [b"0x5", b"5 ", b" 5", b"5;", b"5;a", b"5;a=", b"5;a=b", b"5 ;a=b", b"5;a=\"b\r\nc\"", b"5;a=\"\\\"\"", b"05", b"0" * 40 + b"5",
          b"10000000000000005", b"FFFFFFFFFFFFFFFF", b"7FFFFFFFFFFFFFFF", b"-5", b"+5", b"5\t", b"5\x00", b"5;\x00", b"5;\n", b"5\r",
          b"g", b"", b"5;" + b"a" * 3000, b"5_0", b"5\x0b"]


def mutate(rng, text):
    kind = rng.randrange(14)
    head, found, body = text.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if kind <= 2 and found:
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(FIELDS))
    elif kind == 3 and found and len(lines) > 1:
        lines[rng.randrange(1, len(lines))] = rng.choice(FIELDS)
    elif kind == 4:
        lines[0] = rng.choice(LINES)
    elif kind == 5 and len(lines) > 1:
        lines.pop(rng.randrange(1, len(lines)))
    elif kind == 6:  # another line end, somewhere
        ends = [m.start() for m in re.finditer(b"\r\n", text)]
        if not ends: return text
        at = rng.choice(ends)
        return text[:at] + rng.choice([b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b" \r\n", b"\x00\r\n", b"\r\n ", b"\n\n", b"\x0b\r\n"]) + text[at + 2:]
    elif kind == 7:
        if not text: return text
        at = rng.randrange(len(text))
        return text[:at] + bytes([rng.choice([0, 9, 10, 11, 13, 32, 34, 44, 58, 59, 127, 128, 255, rng.randrange(256)])]) + text[at + rng.randrange(2):]
    elif kind == 8:
        return rng.choice([b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\x00", b"\r\n" * 9, b"\xef\xbb\xbf"]) + text
    elif kind in (9, 10) and b"chunked" in head:
        sizes = list(re.finditer(rb"(?:^|\r\n)([0-9a-f]+)(?=[;\r])", body))
        if not sizes: return text
        m = rng.choice(sizes)
        return head + found + body[:m.start(1)] + rng.choice(CHUNKS) + body[m.end(1):]
    elif kind == 11:
        return text + rng.choice([EVIL, b"\r\n" + EVIL, b"\n" + EVIL, b"x" + EVIL, b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n"])
    elif kind == 12:
        line = rng.randrange(len(lines))
        lines[line] = lines[line].swapcase() if rng.random() < .3 else lines[line].replace(b": ", rng.choice([b":", b":  ", b":\t", b" : ", b":\r\n "]))
    elif kind == 13 and body:
        trailer = rng.choice([b"X: y\r\n", b"Content-Length: 5\r\n", b"Host: b\r\n", b"Transfer-Encoding: chunked\r\n", b" X: y\r\n", b"X : y\r\n", b"X\r\n", b"X: y\n", b"\x00: y\r\n"])
        return text.replace(b"0\r\n\r\n", b"0\r\n" + trailer + b"\r\n", 1)
    return b"\r\n".join(lines) + found + body


def make(rng, pool):
    text = rng.choice(pool)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])): text = mutate(rng, text)
    return text


# --- judging ---------------------------------------------------------------------------------------------

async def ask_all(servers, text, pieces, quiet):
    names = list(servers.ports)
    results = await asyncio.gather(*(talk(servers.ports[n], pieces, quiet) for n in names))
    return {n: (gist(heard), closed) for n, (heard, closed) in zip(names, results)}


def smuggled(understood): return any("/smuggled" in (line or "") for line in understood)
def accepted(understood): return bool(understood) and (understood[0] or "").startswith("yes")
def refused(understood): return not understood or understood[0] == "no"


def judge(answers):
    """(what fails, what is only to be looked at)"""
    first = answers[PARADIGMS[0]]
    for paradigm in PARADIGMS[1:]:
        if answers[paradigm] != first: return f"{paradigm} answers otherwise than {PARADIGMS[0]}", None
    understood, closed = first
    if any(status is None for status in understood): return "an answer that is none", None
    others = [answers[n][0] for n in ("nginx", "h2o") if n in answers]
    if not others: return None, None
    if smuggled(understood) and not any(smuggled(o) for o in others): return "answers /smuggled, alone", None
    if len([u for u in understood if u != "no"]) > max(len([u for u in o if u != "no"]) for o in others):
        return None, "more answers than both"
    if accepted(understood) and all(refused(o) for o in others): return None, "accepts what both refuse"
    if refused(understood) and all(accepted(o) for o in others): return None, STRICTER
    return None, None


async def run(options):
    rng = random.Random(options.seed)
    servers = Servers(options.mirror)
    print(f"http1_diff: seed {options.seed}, beside {', '.join(n for n in servers.ports if n not in PARADIGMS) or 'nobody'}",
          flush=True)
    pool, done, failures, kinds = seeds(), 0, [], collections.OrderedDict()
    gate = asyncio.Semaphore(120)

    async def one(text, pieces):
        nonlocal done
        async with gate:
            answers = await ask_all(servers, text, pieces, QUIET)
            wrong, odd = judge(answers)
        done += 1
        if not wrong and odd in (None, STRICTER):
            if odd: kinds.setdefault((odd, text), answers)
            return
        async with again:  # on a quiet machine, with more patience
            answers = await ask_all(servers, text, pieces, 5 * QUIET)
            wrong, odd = judge(answers)
        if wrong:
            failures.append(text)
            print(f"FAIL {wrong}\n  {text[:600]!r}\n  {answers}", flush=True)
        elif odd:
            kinds.setdefault((odd, text), answers)

    again = asyncio.Semaphore(4)
    end = time.monotonic() + options.seconds
    tasks = set()
    try:
        if options.replay:
            with open(options.replay, "rb") as f: text = f.read()
            print(await ask_all(servers, text, [text], 5 * QUIET))
            return 0
        while time.monotonic() < end and len(failures) < 20 and not servers.fallen():
            text = make(rng, pool)
            cut = rng.randrange(len(text)) if text and rng.random() < .3 else 0
            pieces = [text[:cut], text[cut:]] if cut else [text]
            task = asyncio.create_task(one(text, pieces))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if len(tasks) >= 160: await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks: await asyncio.wait(tasks)
        fallen = servers.fallen()
    finally:
        servers.end()
    counts = collections.Counter(odd for odd, _ in kinds)
    for kind, number in counts.items(): print(f"http1_diff: {number} × {kind}")
    if options.show:
        for (odd, text), answers in kinds.items():
            print(f"{odd}: {text[:300]!r}\n    " + "\n    ".join(f"{n}: {a}" for n, a in answers.items() if n not in PARADIGMS[1:]))
    for paradigm in fallen: print(f"FAIL webby ({paradigm}) ended by itself")
    for paradigm, process in servers.ours.items():
        if process.returncode not in (0, None) and paradigm not in fallen:
            print(f"FAIL webby ({paradigm}) ended with {process.returncode}")
            fallen.append(paradigm)
    print(f"http1_diff: {done} requests, {len(failures)} failed")
    return 1 if failures or fallen else 0


def main():
    parser = argparse.ArgumentParser(description="Differential fuzzing of webby beside nginx and h2o.")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mirror", default=os.path.join(ROOT, "out/release/bench/mirror"))
    parser.add_argument("--show", action="store_true", help="list what is answered otherwise than by both others")
    parser.add_argument("--replay", help="a file: send it, print what everybody answers")
    options = parser.parse_args()
    if not os.access(options.mirror, os.X_OK):
        sys.exit(f"http1_diff: {options.mirror} is not there; build it with: make bench")
    sys.exit(asyncio.run(run(options)))


main()
