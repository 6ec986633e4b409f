// Program: webby itself, as a shell starts it. It stands beside the test program, in ../bin; where it has not
// been built there is nothing to test.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "nutils/blocking_socket.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

extern char** environ;

namespace webby_test {

inline std::string program_path() {
    std::error_code error;
    const auto here = std::filesystem::read_symlink("/proc/self/exe", error);
    const auto program = here.parent_path().parent_path() / "bin" / "webby";
    return std::filesystem::exists(program, error) ? program.string() : "";
}

// A plugin, as the Makefile builds it.
inline std::string plugin_path(const std::string& name) {
    std::error_code error;
    const auto here = std::filesystem::read_symlink("/proc/self/exe", error);
    return (here.parent_path().parent_path() / (name + ".so")).string();
}

// What a service manager gives the program: descriptors from 3 on, and what it says of them in the
// environment.
struct Passed {
    std::vector<int> fds;
    std::string names;
};

class Program {
  public:
    explicit Program(std::vector<std::string> arguments, const Passed& passed = {}) {
        int out[2], err[2];
        if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return;
        out_.reset(out[0]);
        err_.reset(err[0]);
        const nutils::UniqueFd out_end(out[1]), err_end(err[1]);
        arguments.insert(arguments.begin(), program_path());
        // Only a shell can say the pid of what it becomes.
        const std::string script = "LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(passed.fds.size()) +
                                   " LISTEN_FDNAMES=" + passed.names + " exec \"$0\" \"$@\"";
        if (!passed.fds.empty()) arguments.insert(arguments.begin(), {"/bin/sh", "-c", script});
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        for (std::size_t i = 0; i < passed.fds.size(); ++i)
            posix_spawn_file_actions_adddup2(&actions, passed.fds[i], static_cast<int>(3 + i));
        if (::posix_spawn(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ) != 0) pid_ = -1;
        posix_spawn_file_actions_destroy(&actions);
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            (void)wait();
        }
    }

    // The first line on stdout, without its end.
    std::string line() {
        std::string text;
        char c;
        while (readable(out_.get()) && ::read(out_.get(), &c, 1) == 1 && c != '\n') text += c;
        return text;
    }
    // All that is still to come on stdout.
    std::string rest() { return read_all(out_.get()); }
    // … and on stderr.
    std::string complaint() { return read_all(err_.get()); }
    void signal(int number) const { ::kill(pid_, number); }
    // Its exit code; 1000 + the signal that killed it.
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }

  private:
    static std::string read_all(int fd) {
        std::string text;
        char buffer[1000];
        ssize_t got;
        while (readable(fd) && (got = ::read(fd, buffer, sizeof buffer)) > 0)
            text.append(buffer, static_cast<std::size_t>(got));
        return text;
    }
    static bool readable(int fd) {
        pollfd entry{fd, POLLIN, 0};
        return ::poll(&entry, 1, 30'000) == 1;
    }
    pid_t pid_ = -1;
    nutils::UniqueFd out_, err_;
};

// Where it serves, by its first line.
inline nutils::SockAddr address_in(const std::string& line) {
    const std::size_t begin = line.find("://") + 3;
    return nutils::SockAddr::parse(line.substr(begin, line.find("/ (") - begin)).value();
}

// What it answers to one request on a connection of its own; "<…>" when there is no connection.
inline std::string answer_of(const nutils::SockAddr& server, const std::string& target,
                             const std::string& fields = {}, const std::string& host = "a") {
    using namespace std::chrono_literals;
    auto socket = nutils::BlockingSocket::connect(server, 10s);
    if (!socket) return "<" + socket.error().message() + ">";
    if (!socket->send_all(
            "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + fields + "\r\n",
            10s))
        return "<not sent>";
    std::string heard;
    char buffer[4000];
    for (;;) {
        const auto got = socket->recv(buffer, 10s);
        if (!got) return heard;
        heard.append(buffer, got.bytes);
    }
}

// The exit code and the complaint, if it is one line.
inline std::string refusal_of(std::vector<std::string> arguments) {
    Program program(std::move(arguments));
    const std::string complaint = program.complaint();
    if (complaint.empty()) return "<no refusal>";  // perhaps it serves: it is killed
    const int code = program.wait();
    if (complaint.find('\n') != complaint.size() - 1) return "not one line: " + complaint;
    return std::to_string(code) + " " + complaint;
}

}  // namespace webby_test
