#include "test/faults/launcher.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "nutils/unique_fd.h"
#include "test/support/temp_dir.h"

extern char** environ;

#if defined(__SANITIZE_ADDRESS__)
// Leaks cannot be looked for under a tracer.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
#endif

namespace faults {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLongest = 40s;  // several waits in vain, one after the other

bool wait_until(Clock::duration longest, const std::function<bool()>& is_true) {
    for (const auto end = Clock::now() + longest; !is_true();) {
        if (Clock::now() > end) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

std::string read_file(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return std::move(text).str();
}

pid_t start(std::vector<std::string> words, bool quiet = false) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (quiet) ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t pid = -1;
    if (::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    return pid;
}

// Its exit status, as waitpid() gives it; -1: it has not ended in time.
int end_of(pid_t pid, Clock::duration longest) {
    int status = -1;
    return wait_until(longest, [&] { return ::waitpid(pid, &status, WNOHANG) != 0; }) ? status : -1;
}

// What the descriptors of a process are.
std::vector<std::string> descriptors(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd";
    std::vector<std::string> found;
    DIR* const folder = ::opendir(path.c_str());
    if (folder == nullptr) return found;
    while (const dirent* entry = ::readdir(folder)) {
        char target[256];
        const auto size = ::readlink((path + "/" + entry->d_name).c_str(), target, sizeof target);
        if (size <= 0) continue;
        std::string name(target, static_cast<std::size_t>(size));
        // OpenSSL keeps it when getrandom(2) fails; once for all.
        if (name != "/dev/urandom" && name != "/dev/random") found.push_back(entry->d_name + (" " + name));
    }
    ::closedir(folder);
    std::sort(found.begin(), found.end());
    return found;
}

std::size_t count_in(const std::string& path) {
    std::size_t count = 0;
    if (DIR* const folder = ::opendir(path.c_str())) {
        while (const dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.';
        ::closedir(folder);
    }
    return count;
}

std::vector<pid_t> children_of(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid);
    std::istringstream text(read_file(path + "/task/" + std::to_string(pid) + "/children"));
    std::vector<pid_t> found;
    for (pid_t child; text >> child;) found.push_back(child);
    return found;
}

std::string name_of(pid_t pid) {
    std::string name = read_file("/proc/" + std::to_string(pid) + "/comm");
    name.erase(std::min(name.find('\n'), name.size()));
    return name + " (" + std::to_string(pid) + ")";
}

class Launcher {
  public:
    Launcher(Scenario scenario, const std::vector<std::string>& tracing)
        : scenario_(scenario), tracing_(tracing) {}

    int run() {
        // Whom the scenario leaves behind becomes ours.
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (!make_certificate()) return std::fprintf(stderr, "scenario: openssl made no certificate\n"), 2;
        int go[2], done[2];
        if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(done, O_CLOEXEC) != 0) return 2;
        go_[0].reset(go[0]), go_[1].reset(go[1]), done_[0].reset(done[0]), done_[1].reset(done[1]);
        make_files(life_);
        child_ = ::fork();
        if (child_ == 0) live();
        done_[1].reset();
        char ready;
        if (::read(done_[0].get(), &ready, 1) != 1) return 2;
        if (!tracing_.empty() && !trace()) {
            kill_all();
            return kNoTracing;
        }
        watch();
        return report();
    }

  private:
    bool make_certificate() {
        const char* const made = std::getenv("FAULTS_CERTIFICATE");
        life_.folder = folder_.path();
        const std::string stem = made != nullptr ? made : files_.file("server");
        life_.certificate = stem + ".pem", life_.key = stem + ".key";
        for (const std::string& word : tracing_)
            if (const auto at = word.find("error="); at != std::string::npos)
                life_.error = word.substr(at + 6, word.find(':', at) - at - 6);
        if (made != nullptr) return true;
        const pid_t openssl =
            start({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                   "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
                   "subjectAltName=DNS:localhost", "-keyout", life_.key, "-out", life_.certificate},
                  true);
        if (openssl > 0) (void)end_of(openssl, 30s);
        return ::access(life_.certificate.c_str(), R_OK) == 0;
    }

    // The scenario's process.
    [[noreturn]] void live() {
        ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        go_[1].reset(), done_[0].reset();
        const int errors = ::open(said_.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        const int null = ::open("/dev/null", O_RDWR);
        ::dup2(null, 0), ::dup2(null, 1), ::dup2(errors, 2);
        ::close(null), ::close(errors);
        tell();
        wait_for_go();
        try {
            scenario_(life_);
        } catch (const std::exception& e) {
            failed("the scenario", e.what());
        }
        // Now it is looked at.
        tell();
        wait_for_go();
        std::exit(verdict());
    }
    // The one call that fails may be one of these.
    void tell() const {
        while (::write(done_[1].get(), "d", 1) != 1) {
        }
    }
    void wait_for_go() const {
        char byte;
        while (::read(go_[0].get(), &byte, 1) != 1) {
        }
    }
    void go() const { (void)!::write(go_[1].get(), "g", 1); }

    bool trace() {
        std::vector<std::string> words{"strace", "-f", "-qqq", "-p", std::to_string(child_)};
        if (std::find(tracing_.begin(), tracing_.end(), "-o") == tracing_.end())
            words.insert(words.end(), {"-o", "/dev/null"});
        words.insert(words.end(), tracing_.begin(), tracing_.end());
        strace_ = start(std::move(words));
        if (strace_ < 0) return std::fprintf(stderr, "scenario: there is no strace\n"), false;
        const std::string status = "/proc/" + std::to_string(child_) + "/status";
        const bool traced = wait_until(10s, [&] {
            const std::string text = read_file(status);
            const auto tracer = text.find("TracerPid:\t");
            return (tracer != std::string::npos && text[tracer + 11] != '0') ||
                   ::waitpid(strace_, nullptr, WNOHANG) != 0;
        });
        if (traced && ::kill(strace_, 0) == 0) return true;
        return std::fprintf(stderr,
                            "scenario: strace may not trace here (ptrace_scope, a container), or does not "
                            "know its arguments\n"),
               false;
    }

    void watch() {
        // The call it waits in is traced from its beginning.
        const auto before = descriptors(child_);
        go();
        pollfd done{done_[0].get(), POLLIN, 0};
        const auto end = Clock::now() + kLongest;
        const auto has_ended = [&] {
            siginfo_t info{};
            return ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                   info.si_pid == child_;
        };
        while (::poll(&done, 1, 10) == 0 && !has_ended())
            if (Clock::now() > end) return complain("it hangs, here:\n" + where_it_hangs());
        if (!has_ended()) {
            look(before);
            go();
        }
        status_ = end_of(child_, 10s);
        if (status_ < 0) complain("it does not end after its scenario");
    }

    void look(const std::vector<std::string>& before) {
        const std::string tasks = "/proc/" + std::to_string(child_) + "/task";
        if (!wait_until(2s, [&] { return count_in(tasks) == 1; })) complain("threads are left");
        for (const std::string& now : descriptors(child_))
            if (!std::binary_search(before.begin(), before.end(), now))
                complain("a descriptor is left: " + now);
        if (!wait_until(3s, [&] { return children_of(child_).empty(); }))
            complain("children are left: " + name_of(children_of(child_).front()));
    }

    std::string where_it_hangs() {
        const std::string tasks = "/proc/" + std::to_string(child_) + "/task/";
        std::string text;
        if (DIR* const folder = ::opendir(tasks.c_str())) {
            while (const dirent* entry = ::readdir(folder))
                if (entry->d_name[0] != '.')
                    text += read_file(tasks + entry->d_name + "/comm") + "  in system call " +
                            read_file(tasks + entry->d_name + "/syscall");
            ::closedir(folder);
        }
        return text;
    }

    void complain(const std::string& what) { complaints_ += what + "\n"; }

    // Whoever is left of it.
    void kill_all() {
        ::kill(child_, SIGKILL);
        (void)end_of(child_, 5s);
        const auto left = [&] {
            auto all = children_of(::getpid());
            std::erase(all, strace_);
            return all;
        };
        if (!wait_until(3s, [&] { return (::waitpid(-1, nullptr, WNOHANG), left().empty()); })) {
            complain("a process is left: " + name_of(left().front()));
            (void)wait_until(5s, [&] {
                for (const pid_t pid : left()) ::kill(pid, SIGKILL);
                return (::waitpid(-1, nullptr, WNOHANG), left().empty());
            });
        }
        if (strace_ > 0 && !wait_until(3s, [&] { return ::waitpid(strace_, nullptr, WNOHANG) != 0; }))
            ::kill(strace_, SIGKILL);
    }

    int report() {
        kill_all();
        const std::string said = read_file(said_);
        if (status_ >= 0 && WIFSIGNALED(status_))
            complain(std::string("it died by signal ") + strsignal(WTERMSIG(status_)));
        if (status_ >= 0 && WIFEXITED(status_)) {
            if (WEXITSTATUS(status_) == 2) complain("something was wrong");
            if (WEXITSTATUS(status_) > 2) complain("it ended with " + std::to_string(WEXITSTATUS(status_)));
            if (WEXITSTATUS(status_) == 1 && said.empty()) complain("it failed without a word");
        }
        std::fputs(said.c_str(), stderr);
        std::fputs(complaints_.c_str(), stderr);
        return complaints_.empty() ? 0 : 1;
    }

    Scenario scenario_;
    const std::vector<std::string>& tracing_;
    test_support::TempDir folder_, files_;
    const std::string said_ = files_.file("said");
    Life life_;
    nutils::UniqueFd go_[2], done_[2];
    pid_t child_ = -1, strace_ = -1;
    int status_ = -1;
    std::string complaints_;
};

}  // namespace

int launch(Scenario scenario, const std::vector<std::string>& tracing) {
    return Launcher(scenario, tracing).run();
}

}  // namespace faults
