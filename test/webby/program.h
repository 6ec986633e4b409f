// Program: webby itself, as a shell starts it. It stands beside the test program, in ../bin; where it has not
// been built there is nothing to test.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

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

class Program {
  public:
    explicit Program(std::vector<std::string> arguments) {
        int out[2], err[2];
        if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return;
        out_.reset(out[0]);
        err_.reset(err[0]);
        const nutils::UniqueFd out_end(out[1]), err_end(err[1]);
        arguments.insert(arguments.begin(), program_path());
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
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
    std::string complaint() {
        std::string text;
        char buffer[1000];
        ssize_t got;
        while (readable(err_.get()) && (got = ::read(err_.get(), buffer, sizeof buffer)) > 0)
            text.append(buffer, static_cast<std::size_t>(got));
        return text;
    }
    void signal(int number) const { ::kill(pid_, number); }
    // Its exit code; 1000 + the signal that killed it.
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }

  private:
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

}  // namespace webby_test
