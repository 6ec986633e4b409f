// Program: a program of the tutorial, run as a process of its own.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "nutils/unique_fd.h"
#include "test/support/harness.h"

extern char** environ;

namespace tutorial_test {

using Clock = std::chrono::steady_clock;
// Nothing here takes a second on an idle machine.
inline constexpr std::chrono::seconds kPatience{20};

// Waits for `events` on `fd`, as long as there is patience.
inline bool wait_for(int fd, short events, Clock::time_point until = Clock::now() + kPatience) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd waiting = {fd, events, 0};
    return ::poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0) == 1;
}

// Owner: a test; the process ends with it. Waits are bounded by kPatience.
//
//   Program echo("echo/echo_c", {"0"});
//   CHECK_EQUAL("listening at …", echo.read_line());
class Program {
  public:
    // `path`: below tutorial/ of the folder that this test program was built into; or absolute.
    explicit Program(const std::string& path, const std::vector<std::string>& arguments = {}) {
        int out[2];
        int err[2];
        if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) FAIL("no pipe");
        out_.reset(out[0]);
        err_.reset(err[0]);
        const nutils::UniqueFd child_out(out[1]), child_err(err[1]);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, child_err.get(), STDERR_FILENO);
        const std::string program = path.starts_with('/') ? path : folder() + path;
        std::vector<char*> argv{const_cast<char*>(program.c_str())};
        for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        const int error = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        if (error != 0) {
            pid_ = -1;
            FAIL(("cannot start " + program + ": `make tutorial` builds it").c_str());
        }
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    // The next line that it prints, without its end; what there is when it prints no more.
    std::string read_line() { return line_of(out_.get()); }
    std::string read_error_line() { return line_of(err_.get()); }
    // Is there something to read of its errors, now?
    bool has_errors() { return wait_for(err_.get(), POLLIN, Clock::now()); }

    // Everything (else) that it prints until it ends.
    std::string read_all() { return drain(out_.get()); }
    std::string read_errors() { return drain(err_.get()); }

    // Its exit code, once it has ended; -1 when it does not, or was killed.
    int wait() {
        const auto until = Clock::now() + kPatience;
        for (int status = 0; Clock::now() < until;) {
            if (::waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = -1;
                return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            }
            // Its end of the pipe closes when it ends, a little before it can be waited for.
            char ignored[64];
            if (wait_for(out_.get(), POLLIN, until) && ::read(out_.get(), ignored, sizeof ignored) <= 0)
                ::usleep(1000);
        }
        return -1;
    }

    [[nodiscard]] pid_t pid() const { return pid_; }

    // tutorial/ of the folder that this test program was built into.
    static std::string folder() {
        char path[4096];
        const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
        std::string self(path, size > 0 ? static_cast<std::size_t>(size) : 0);
        return self.substr(0, self.rfind('/')) + "/../tutorial/";
    }

  private:
    static std::string line_of(int fd) {
        std::string line;
        const auto until = Clock::now() + kPatience;
        for (char c; wait_for(fd, POLLIN, until) && ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
        return line;
    }
    static std::string drain(int fd) {
        std::string all;
        const auto until = Clock::now() + kPatience;
        char buffer[4096];
        while (wait_for(fd, POLLIN, until)) {
            const ssize_t got = ::read(fd, buffer, sizeof buffer);
            if (got <= 0) break;
            all.append(buffer, static_cast<std::size_t>(got));
        }
        return all;
    }

    nutils::UniqueFd out_, err_;
    pid_t pid_ = -1;
};

}  // namespace tutorial_test
