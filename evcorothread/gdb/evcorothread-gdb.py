"""Coroutine threads of evcorothread, in gdb: of a live process or of a core file.

  evthreads              lists all: number, state, name, what it waits for, where
  evthread N             selects one: bt, up, down, frame, info locals are its own from then on
  evthread N bt [...]    its backtrace; what follows goes to gdb's backtrace (full, 5, -frame-arguments all)
  evthread all bt [...]  everybody's
  evthread off           back to the OS thread; so does continuing the process

With several loops numbers have two parts, LOOP.ID. x86-64 only.
"""

import re
import struct

import gdb
import gdb.unwinder

FIELDS = (
    "version loop_next loop_thread loop_slots loop_slots_end loop_thread_count thread_flags thread_name_size "
    "thread_left_off thread_waiting thread_id thread_name wait_reason wait_kind wait_number "
    "wait_object mutex_owner kind_descriptor kind_mutex kind_channel kind_sync"
).split()
# Where jump_fcontext puts what it saves, from where the context left off.
SAVED = {"r12": 0x10, "r13": 0x18, "r14": 0x20, "r15": 0x28, "rbx": 0x30, "rbp": 0x38, "rip": 0x40}
SAVED_SIZE = 0x48
CANCELED = 1
# Nobody has as many stacks: a number beyond is none.
MOST_SLOTS = 1 << 26
# What reading from a place that is none ends with.
UNREADABLE = (gdb.MemoryError, OverflowError)


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def number(address, size=8):
    return int.from_bytes(read(address, size), "little")


def text(address, most=80):
    if address == 0:
        return ""
    try:
        return gdb.selected_inferior().read_memory(address, most).tobytes().split(b"\0")[0].decode(errors="replace")
    except gdb.MemoryError:
        return "?"


def address_of(symbol):
    try:
        return int(gdb.parse_and_eval("(unsigned long) &" + symbol))
    except gdb.error:
        return None


class Layout:
    """How the library in this process lays out its objects: it says so itself."""

    def __init__(self):
        where = address_of("evcorothread_gdb_layout")
        if where is None:
            raise gdb.GdbError("no evcorothread in this program (or nothing is known of its symbols)")
        for name, value in zip(FIELDS, struct.unpack("<%dI" % len(FIELDS), read(where, 4 * len(FIELDS)))):
            setattr(self, name, value)
        if self.version != 1:
            raise gdb.GdbError("this script is older than the library: it does not know layout %d" % self.version)


class Coroutine:
    def __init__(self, layout, loop, core):
        self.layout, self.loop, self.core = layout, loop, core
        self.id = number(core + layout.thread_id)
        self.name = read(core + layout.thread_name, number(core + layout.thread_name_size, 1)).decode(
            errors="replace"
        )
        self.left_off = number(core + layout.thread_left_off)
        self.waiting = number(core + layout.thread_waiting)
        self.canceled = number(core + layout.thread_flags, 1) & CANCELED != 0
        # What is looked at later, is there.
        if not self.running:
            read(self.left_off, SAVED_SIZE)
        if self.waiting:
            number(self.waiting)

    @property
    def number(self):
        return "%d.%d" % (self.loop.number, self.id) if self.loop.one_of_several else str(self.id)

    @property
    def running(self):
        return self.core == self.loop.current

    @property
    def begun(self):
        """What has not begun stands in the code behind make_fcontext that is to begin it."""
        if self.running:
            return True
        symbol = symbol_at(number(self.left_off + SAVED["rip"]))
        return "make_fcontext" not in symbol and "trampoline" not in symbol

    @property
    def state(self):
        state = "running" if self.running else "parked" if self.waiting else "ready"
        return state + (", canceled" if self.canceled else "")

    @property
    def waits_for(self):
        if not self.waiting or self.running:
            return ""
        layout = self.layout
        reason = text(number(self.waiting + layout.wait_reason))
        kind = number(self.waiting + layout.wait_kind, 2)
        if kind == layout.kind_descriptor:
            return "%s (descriptor %d)" % (reason, number(self.waiting + layout.wait_number, 4))
        if kind in (layout.kind_mutex, layout.kind_channel, layout.kind_sync):
            at = number(self.waiting + layout.wait_object)
            if kind == layout.kind_mutex:
                owner = number(at + layout.mutex_owner)
                if owner:
                    held = Coroutine(layout, self.loop, owner)
                    return '%s (held by %s "%s")' % (reason, held.number, held.name)
            return "%s (0x%x)" % (reason, at)
        return reason


class Loop:
    def __init__(self, layout, core, place):
        self.layout, self.core, self.number = layout, core, place
        self.one_of_several = False
        self.unreadable = 0
        # Where the loop's OS thread keeps which coroutine it runs.
        self.here = number(core + layout.loop_thread)
        try:
            current, of_loop = struct.unpack("<QQ", read(self.here, 16))
        except UNREADABLE:  # that thread has ended
            current = of_loop = 0
        self.current = current if of_loop == core else 0

    def coroutines(self):
        """Those that can be read: memory may be damaged, and a core file cut off."""
        end = number(self.core + self.layout.loop_slots_end)
        if end > MOST_SLOTS:
            raise gdb.GdbError("loop %d (0x%x) is damaged: it has %d slots" % (self.number, self.core, end))
        slots = struct.unpack("<%dQ" % end, read(number(self.core + self.layout.loop_slots), 8 * end)) if end else ()
        found = []
        for core in slots:
            try:
                if core:
                    found.append(Coroutine(self.layout, self, core))
            except UNREADABLE:
                self.unreadable += 1
        return sorted(found, key=lambda coroutine: coroutine.id)

    def os_thread(self):
        """The one whose thread-locals lie where the loop says: right below its thread pointer."""
        best = None
        selected = gdb.selected_thread()
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            try:
                distance = int(gdb.selected_frame().read_register("fs_base")) - self.here
            except (gdb.error, ValueError):
                continue
            if distance > 0 and (best is None or distance < best[0]):
                best = (distance, thread)
        selected.switch()
        return best[1] if best else None


def all_loops():
    layout = Layout()
    head = address_of("evcorothread_loops")
    loops = []
    core = number(head) if head else 0
    while core:
        if any(loop.core == core for loop in loops):
            raise gdb.GdbError("the list of loops is damaged: it comes back to 0x%x" % core)
        loops.append(Loop(layout, core, len(loops) + 1))
        core = number(core + layout.loop_next)
    for loop in loops:
        loop.one_of_several = len(loops) > 1
    return loops


def symbol_at(address):
    found = gdb.execute("info symbol 0x%x" % address, to_string=True)
    return "" if found.startswith("No symbol") else found


class Place:
    """A frame, as gdb tells one from another."""

    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class CoroutineUnwinder(gdb.unwinder.Unwinder):
    """Puts a suspended coroutine's frames behind the innermost frame of the OS thread, as if that had been called
    by it. Registers are not written, so it works on core files, too."""

    def __init__(self):
        super().__init__("evcorothread")
        self.enabled = True
        self.innermost = None
        self.left_off = 0

    def __call__(self, frame):
        if self.innermost is None:
            return None
        # Lazily, so that a thread that is not the chosen one is left alone.
        if (int(frame.read_register("rsp")), int(frame.read_register("rip"))) != self.innermost:
            return None
        place = Place(self.value(frame, self.left_off), frame.read_register("rip"))
        info = frame.create_unwind_info(place)
        for register, offset in SAVED.items():
            info.add_saved_register(register, self.value(frame, number(self.left_off + offset)))
        info.add_saved_register("rsp", self.value(frame, self.left_off + SAVED_SIZE))
        return info

    @staticmethod
    def value(frame, number_):
        return gdb.Value(number_).cast(frame.read_register("rsp").type)

    def choose(self, left_off):
        self.forget()
        frame = gdb.newest_frame()
        innermost = int(frame.read_register("rsp")), int(frame.read_register("rip"))
        self.left_off, self.innermost = left_off, innermost
        gdb.invalidate_cached_frames()

    def forget(self):
        if self.innermost is None:
            return
        self.innermost = None
        gdb.invalidate_cached_frames()


unwinder = CoroutineUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def forget(*_):
    unwinder.innermost = None


gdb.events.cont.connect(forget)


class Chosen:
    """While it lives, the selected thread's frames are the coroutine's, the first one left out when it waits."""

    def __init__(self, coroutine):
        self.coroutine = coroutine
        self.before = gdb.selected_thread()

    def __enter__(self):
        if self.coroutine.running:
            unwinder.forget()
            thread = self.coroutine.loop.os_thread()
            if thread is not None:
                thread.switch()
            return gdb.newest_frame()
        unwinder.choose(self.coroutine.left_off)
        return gdb.newest_frame().older()

    def __exit__(self, *_):
        unwinder.forget()
        if self.before is not None and self.before.is_valid():
            self.before.switch()


SYSTEM = re.compile(r"/(libc|libpthread|ld-linux)[^/]*\.so")
OURS = re.compile(r"^(evcorothread|corothread|cutils|nutils)::|fcontext|^evc_")


def where(coroutine):
    """The innermost function that is neither the library's nor the system's, with its line."""
    if not coroutine.begun:
        return "has not begun"
    with Chosen(coroutine) as frame:
        best = (9, "")
        while frame is not None and frame.is_valid() and best[0] > 0:
            name = frame.name() or "0x%x" % frame.pc()
            line = frame.find_sal()
            file = line.symtab.filename if line.symtab else ""
            at = " at %s:%d" % (file, line.line) if file else ""
            if OURS.search(name) or SYSTEM.search(gdb.solib_name(frame.pc()) or ""):
                rank = 3
            elif file.startswith("/usr/include/") or file.endswith("evcorothread/ev_loop.h"):
                rank = 2
            elif not file:  # the system's, perhaps, in a program that is linked statically
                rank = 1
            else:
                rank = 0
            if rank < best[0]:
                best = (rank, name + at)
            frame = frame.older()
        return best[1]


def backtrace(coroutine, options):
    if not coroutine.begun:
        return "  (has not begun)\n"
    # The frame of the OS thread, which is only where we begin, is not part of it; nor of the innermost so many.
    words = options.split()
    if words and words[-1].isdigit() and not coroutine.running:
        words[-1] = str(int(words[-1]) + 1)
    with Chosen(coroutine):
        shown = gdb.execute("backtrace " + " ".join(words), to_string=True)
    if coroutine.running:
        return shown
    lines, keep = [], False
    for line in shown.splitlines(True):
        match = re.match(r"#(\d+)(\s+)", line)
        if match:
            keep = int(match.group(1)) > 0
            line = "#%-*d" % (len(match.group(0)) - 1, int(match.group(1)) - 1) + line[match.end():]
        if keep:
            lines.append(line)
    return "".join(lines)


def command(invoke):
    """Says what is wrong without a traceback."""

    def guarded(self, argument, from_tty):
        try:
            invoke(self, argument, from_tty)
        except UNREADABLE as error:
            raise gdb.GdbError("the program's memory is damaged, or not all of it is in the core: %s" % error)
        except gdb.error as error:  # backtrace(1) does not know what it was given
            raise gdb.GdbError(str(error))

    return guarded


class EvThreads(gdb.Command):
    """Lists the coroutine threads of all loops of the process."""

    def __init__(self):
        super().__init__("evthreads", gdb.COMMAND_STACK)

    @command
    def invoke(self, argument, from_tty):
        loops = all_loops()
        if not loops:
            print("No loops.")
        for loop in loops:
            coroutines = loop.coroutines()
            every = number(loop.core + loop.layout.loop_thread_count) - loop.unreadable
            print(
                "Loop %d (0x%x): %d coroutines%s"
                % (
                    loop.number,
                    loop.core,
                    every,
                    ", %d of them wait for a stack" % (every - len(coroutines)) if every > len(coroutines) else "",
                )
            )
            for coroutine in coroutines:
                print(
                    '%s %-5s %-8s "%s"%s  in %s'
                    % (
                        "*" if coroutine.running else " ",
                        coroutine.number,
                        coroutine.state,
                        coroutine.name,
                        "  " + coroutine.waits_for if coroutine.waits_for else "",
                        where(coroutine),
                    )
                )
            if loop.unreadable:
                print("  and %d whose memory is damaged, or not in the core" % loop.unreadable)


class EvThread(gdb.Command):
    __doc__ = __doc__

    def __init__(self):
        super().__init__("evthread", gdb.COMMAND_STACK)

    @command
    def invoke(self, argument, from_tty):
        words = argument.split()
        if not words:
            raise gdb.GdbError("evthread N | N bt | all bt | off; see `evthreads`, `help evthread`")
        if words[0] == "off":
            return unwinder.forget()
        coroutines = [coroutine for loop in all_loops() for coroutine in loop.coroutines()]
        if words[0] != "all":
            coroutines = [c for c in coroutines if words[0] in (c.number, "%d.%d" % (c.loop.number, c.id))]
            if not coroutines:
                raise gdb.GdbError("no coroutine thread %s; see `evthreads`" % words[0])
        if len(words) == 1:
            if words[0] == "all":
                raise gdb.GdbError("all of them: evthread all bt")
            return self.select(coroutines[0])
        if words[1] not in ("bt", "backtrace", "where"):
            raise gdb.GdbError("evthread %s bt is all that can be done" % words[0])
        for coroutine in coroutines:
            print('Coroutine %s "%s" %s %s' % (coroutine.number, coroutine.name, coroutine.state, coroutine.waits_for))
            print(backtrace(coroutine, " ".join(words[2:])))

    @staticmethod
    def select(coroutine):
        if not coroutine.begun:
            raise gdb.GdbError("it has not begun")
        if coroutine.running:
            unwinder.forget()
            thread = coroutine.loop.os_thread()
            if thread is not None:
                thread.switch()
        else:
            unwinder.choose(coroutine.left_off)
            gdb.newest_frame().older().select()
        print('[Coroutine %s "%s" %s %s]' % (coroutine.number, coroutine.name, coroutine.state, coroutine.waits_for))
        gdb.execute("frame")


EvThreads()
EvThread()
