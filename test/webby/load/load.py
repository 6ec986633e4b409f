#!/usr/bin/env python3
"""webby under abuse, from outside: programs on free ports of 127.0.0.1, ended by their own ids, bounded in time.

    test/webby/load/load.py CASE... [--paradigm NAME]... [--out out/release]

Cases, each under every paradigm:
  starved   RLIMIT_NOFILE is 64, 500 clients come and stay: while nobody more can be taken in, the server uses
            under 5 % of a CPU; as clients go, the others are served, all of them.
  stop      SIGTERM under load, five times: every request that was logged as answered has been received whole.
  idle      8,000 clients that have asked once and stay: the server's memory for each (at most 1 KiB).
  dribble   5,000 clients that send a byte of a head each second: p99 of ordinary clients, beside the unloaded
            one. A measurement: on a busy machine its figures say little; it never fails.
  restarts  1,000 starts and stops of the program, a request each, in a row.
"""
import argparse, asyncio, os, re, resource, shutil, signal, subprocess, sys, tempfile, time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
TICK = os.sysconf("SC_CLK_TCK")
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


class Server:
    """A program that prints where it serves; ended when the block is left."""

    def __init__(self, arguments, descriptors=None):
        def limit():
            if descriptors: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        preexec_fn=limit)
        line = self.process.stdout.readline().decode()
        self.port = int(re.search(r"http://[^/]*:(\d+)/", line).group(1))

    def __enter__(self): return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, patience=20):
        if self.process.poll() is None: self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f: fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            return int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1)) * 1024


async def response(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    return head, await reader.readexactly(size)


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    head, _ = await response(reader)
    return head.startswith(b"HTTP/1.1 200"), reader, writer


# --- the cases: each returns what went wrong, or None ----------------------------------------------------

async def starved(options, paradigm):
    with Server([options.mirror, "--paradigm", paradigm], descriptors=64) as server:
        served, leave = 0, asyncio.Event()

        async def client():
            nonlocal served
            ok, _, writer = await ask(server.port)
            served += ok
            await leave.wait()
            writer.close()

        clients = [asyncio.create_task(client()) for _ in range(500)]
        await asyncio.sleep(2)
        before, first, start = server.cpu(), served, time.monotonic()
        await asyncio.sleep(3)
        busy = (server.cpu() - before) / (time.monotonic() - start)
        starving = served
        leave.set()
        done, late = await asyncio.wait(clients, timeout=60)
        for task in late: task.cancel()
        failed = sum(1 for task in done if task.exception())
        print(f"  {paradigm}: {first} served, then starved at {100 * busy:.1f} % CPU, {served} served in the end")
        if starving >= 100: return "was never starved"
        if busy >= 0.05: return f"{100 * busy:.1f} % CPU while starved"
        if late or failed or served != 500: return f"only {served} of 500 served"


async def stop(options, paradigm):
    for turn in range(5):
        folder = tempfile.mkdtemp(prefix="evc-load.")
        with open(os.path.join(folder, "x"), "w") as f: f.write("x" * 200_000)
        log = os.path.join(folder, "log")
        received, broken, refused, ending = 0, 0, 0, False
        server = Server([os.path.join(options.out, "bin/webby"), "--paradigm", paradigm, "--listen", "127.0.0.1:0",
                         "--root", folder, "--access-log", log])

        async def client():
            nonlocal received, broken, refused
            while not ending:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                except OSError:
                    refused += 1
                    await asyncio.sleep(0.01)
                    continue
                got = b"-"
                try:
                    for _ in range(20):
                        got = b""
                        writer.write(REQUEST * 2)
                        for _ in range(2):
                            got = await reader.readuntil(b"\r\n\r\n")
                            await reader.readexactly(200_000)
                            received += 1
                            if b"Connection: close" in got: raise EOFError
                except asyncio.IncompleteReadError as error:
                    if got or error.partial: broken += 1
                except (OSError, EOFError):
                    pass
                finally:
                    writer.close()

        clients = [asyncio.create_task(client()) for _ in range(50)]
        await asyncio.sleep(0.6 + turn * 0.05)
        ending_at = time.monotonic()
        code = await asyncio.get_running_loop().run_in_executor(None, server.stop)
        took = time.monotonic() - ending_at
        ending = True
        await asyncio.wait(clients, timeout=10)
        with open(log) as f: logged = sum(1 for line in f if '" 200 ' in line)
        shutil.rmtree(folder)
        print(f"  {paradigm}: {logged} answered, {received} received, {broken} broken off; ended in {1000 * took:.0f} ms")
        if code != 0: return f"ended with {code}"
        if logged != received or broken: return f"{logged - received} answers were lost, {broken} broken off"


async def idle(options, paradigm, count=8000):
    with Server([options.mirror, "--paradigm", paradigm]) as server:
        kept = [await ask(server.port) for _ in range(500)]  # what does not grow any more is there
        before = server.memory()
        for _ in range(count // 50): kept += await asyncio.gather(*(ask(server.port) for _ in range(50)))
        await asyncio.sleep(0.5)
        each = (server.memory() - before) / count
        for _, _, writer in kept: writer.close()
        print(f"  {paradigm}: {each:.0f} bytes for an idle connection")
        if each > 1024: return f"{each:.0f} bytes for an idle connection"


def latency(port):
    wrk = subprocess.run(["wrk", "--latency", "-t1", "-c16", "-d4", f"http://127.0.0.1:{port}/x"], capture_output=True,
                         text=True)
    m = re.search(r"99%\s+([\d.]+)(us|ms|s)", wrk.stdout)
    return float(m.group(1)) * {"us": 1e-3, "ms": 1, "s": 1e3}[m.group(2)] if m else float("nan")


async def dribble(options, paradigm, count=5000):
    if not shutil.which("wrk"): return "wrk is not there"
    loop = asyncio.get_running_loop()
    with Server([options.mirror, "--paradigm", paradigm]) as server:
        slow, going = 0, True

        async def client(i):
            nonlocal slow
            await asyncio.sleep(i / count)
            text = REQUEST.replace(b"\r\n\r\n", b"\r\nX-" + b"y" * 1000)
            while going:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    slow += 1
                    for byte in text:
                        writer.write(bytes([byte]))
                        await asyncio.sleep(1)
                        if not going or writer.is_closing(): break
                    slow -= 1
                    writer.close()
                except OSError:
                    pass

        alone = await loop.run_in_executor(None, latency, server.port)
        clients = [asyncio.create_task(client(i)) for i in range(count)]
        await asyncio.sleep(5)
        before, start, there = server.cpu(), time.monotonic(), slow
        with_them = await loop.run_in_executor(None, latency, server.port)
        going = False
        print(f"  {paradigm}: {there} slow clients; p99 {alone:.2f} ms alone, {with_them:.2f} ms among them "
              f"({with_them / alone:.2f} x)")
        await asyncio.wait(clients, timeout=10)


async def restarts(options, paradigm):
    for _ in range(options.restarts):
        with Server([options.mirror, "--paradigm", paradigm]) as server:
            ok, _, writer = await ask(server.port)
            if not ok: return "a request failed"
            if server.stop() != 0: return f"ended with {server.process.returncode}"
            writer.close()
    print(f"  {paradigm}: {options.restarts} starts and stops")


CASES = {"starved": starved, "stop": stop, "idle": idle, "dribble": dribble, "restarts": restarts}


def main():
    parser = argparse.ArgumentParser(description="webby under abuse, from outside.")
    parser.add_argument("cases", nargs="+", choices=CASES, metavar="CASE")
    parser.add_argument("--paradigm", action="append")
    parser.add_argument("--out", default=os.path.join(ROOT, "out/release"))
    parser.add_argument("--restarts", type=int, default=1000)
    options = parser.parse_args()
    options.mirror = os.path.join(options.out, "bench/mirror")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    failures = 0
    for case in options.cases:
        print(f"{case}:", flush=True)
        for paradigm in options.paradigm or ("coroutine", "thread", "event"):
            wrong = asyncio.run(CASES[case](options, paradigm))
            if wrong: print(f"  FAIL {case}, {paradigm}: {wrong}", flush=True)
            failures += bool(wrong)
    sys.exit(1 if failures else 0)


main()
