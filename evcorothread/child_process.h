// process::ChildProcess: another process, started or forked by this one, as an object a coroutine can wait
// for.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_pipe.h"

namespace evcorothread::process {

// How a process ended.
struct ExitStatus {
    int code = 0;    // what it returned from main or gave to exit(3); 0 when a signal ended it
    int signal = 0;  // the signal that ended it, or 0
    bool core_dumped = false;

    [[nodiscard]] bool success() const { return code == 0 && signal == 0; }
    // "exited with 3", "killed by SIGSEGV (core dumped)"
    [[nodiscard]] EVC_API std::string to_string() const;
    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

// What a child gets as its stdin, stdout or stderr.
class Stdio {
  public:
    static Stdio inherit() { return Stdio(Kind::inherit); }  // this process's own
    static Stdio null() { return Stdio(Kind::null); }        // /dev/null
    static Stdio pipe() { return Stdio(Kind::pipe); }        // the other end is ChildProcess::input() & Co.
    static Stdio fd(int fd) { return Stdio(Kind::fd, fd); }  // a duplicate; `fd` stays the caller's
    static Stdio as_output() { return Stdio(Kind::as_output); }  // for stderr: where stdout goes (2>&1)

  private:
    friend class StdioPlan;
    enum class Kind { inherit, null, pipe, fd, as_output };
    explicit Stdio(Kind kind, int fd = -1) : kind_(kind), fd_(fd) {}
    Kind kind_;
    int fd_;
};

struct SpawnOptions {
    Stdio input = Stdio::inherit();
    Stdio output = Stdio::inherit();
    Stdio errors = Stdio::inherit();
    // "NAME=value" each; without one, this process's environment.
    std::optional<std::vector<std::string>> environment{};
    // Where it runs; empty: here. A relative path of the program is looked up from there.
    std::string directory{};
    // A process group of its own: a Ctrl-C at the terminal does not reach it, and kill(2) of -pid reaches all
    // that it starts.
    bool own_group = false;
};

// Usage:
//
//   auto sort = ChildProcess::spawn(loop, {"sort", "-n"}, {.input = Stdio::pipe(), .output = Stdio::pipe()});
//   if (!sort) return sort.error();             // "spawn sort: No such file or directory"
//   (void)sort->input().send_all(numbers, 3s);
//   sort->input().close();                      // or it waits for more
//   while (auto got = sort->output().recv(buffer, 3s)) use({buffer, got.bytes});
//   auto status = sort->wait(3s);
//   if (!status || !status->success()) sort->kill(SIGKILL);
//
// Nothing of ours reaches the child but what is named: every descriptor of this library is close-on-exec, all
// signals have their default dispositions in it, and none is blocked.
//
// End:     destroying the object does not touch the process: it runs on, and the loop reaps it when it ends,
//          so no zombie is left as long as the loop lives. (To end it, kill() it first.) Its pipes close with
//          the object.
// Reaping: this object's own process only, never waitpid(-1): an application's other children are not
//          touched. An application that takes all children away itself (SIGCHLD ignored, waitpid(-1)) takes
//          the exit status away, too: wait() then says ECHILD.
// How:     by a pidfd (Linux >= 5.3), so SIGCHLD stays the application's. Where there is none (an older
//          kernel, a sandbox, no descriptor left), by a SignalWatch for SIGCHLD while the child runs.
// Owner:   whoever holds it; movable, not while somebody waits on it. Must die before its loop.
// Thread:  the loop's.
// Work:    none: EvLoop::run goes on because a coroutine waits, not because a child runs. (In an adopted
//          base, the application's dispatch goes on until the child has ended.)
// Fork:    in a child of fork_child, this process's other children are siblings: wait() says ECHILD.
class EVC_API ChildProcess {
  public:
    // Starts a program. A name without a slash is looked up in this process's PATH.
    // Before: argv not empty.
    // Errors: ENOENT, EACCES and the like when the program, or the directory, cannot be had: of execve(2) and
    //         chdir(2), told here and not as an exit code; EAGAIN, ENOMEM, EMFILE; EINVAL for a zero byte
    //         in any of the texts. The message names the program.
    // Cost:   a vfork: this OS thread stands still until the child has called execve, half a millisecond.
    [[nodiscard]] static cutils::Result<ChildProcess> spawn(EvLoop& loop,
                                                            const std::vector<std::string>& argv,
                                                            SpawnOptions options = {});

    // A child of this process that was started in another way, and not waited for yet.
    // Errors: ECHILD when it is none; std::bad_alloc.
    [[nodiscard]] static cutils::Result<ChildProcess> adopt(EvLoop& loop, pid_t pid);

    ChildProcess();  // none: pid() is 0, wait() says closed
    ChildProcess(ChildProcess&&) noexcept;
    ChildProcess& operator=(ChildProcess&&) noexcept;
    ~ChildProcess();

    // 0 when there is none. After the process has been reaped, the number may become somebody else's.
    [[nodiscard]] pid_t pid() const;

    // Waits until the process has ended, and tells how. May be called again, and by several coroutines.
    // Before:   called in a coroutine thread of the loop.
    // Suspends: unless it has ended.
    // Errors:   timed_out (it runs on), canceled, closed (the object goes away); ECHILD: somebody else has
    //           reaped it.
    [[nodiscard]] cutils::Result<ExitStatus> wait(Deadline deadline);

    // How it has ended, if the loop has noticed that yet. Never suspends.
    [[nodiscard]] std::optional<ExitStatus> status() const;

    // Sends it a signal. Errors: ESRCH when it has ended (or there is none), EPERM, EINVAL.
    std::error_code kill(int signal);

    // Our ends of its stdin, stdout and stderr where those are Stdio::pipe(); closed otherwise.
    [[nodiscard]] EvPipe& input() { return input_; }
    [[nodiscard]] EvPipe& output() { return output_; }
    [[nodiscard]] EvPipe& errors() { return errors_; }

    // Gives the process away: it is neither watched nor reaped here any more. Returns its pid, 0 when it has
    // been reaped already. Before: nobody waits on it.
    pid_t release();

  private:
    struct Impl;
    friend struct Forking;
    // An object for a child to be, so that nothing can fail for want of memory when it is there.
    static ChildProcess prepare(EvLoop& loop);
    // The child is there. When it cannot be watched it is killed and reaped.
    std::error_code begin(pid_t pid);

    Impl* impl_ = nullptr;  // the loop's, when this object has gone before the process
    EvPipe input_, output_, errors_;
};

}  // namespace evcorothread::process
