// ChildProcess::spawn: posix_spawn(3), which runs the child on our memory until it has called execve, and so
// can tell us why it could not.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "cutils/check.h"
#include "evcorothread/child_process.h"
#include "nutils/pipe_ops.h"
#include "nutils/unique_fd.h"

namespace evcorothread::process {
namespace {

// posix_spawn's tables, freed however we leave.
struct FileActions {
    FileActions() { check(::posix_spawn_file_actions_init(&value)); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    ~FileActions() { ::posix_spawn_file_actions_destroy(&value); }
    static void check(int error) {
        if (error != 0) throw std::bad_alloc();  // nothing else can be wrong with them
    }
    posix_spawn_file_actions_t value;
};

struct Attributes {
    explicit Attributes(bool own_group) {
        FileActions::check(::posix_spawnattr_init(&value));
        sigset_t signals;
        ::sigemptyset(&signals);
        ::posix_spawnattr_setsigmask(&value, &signals);
        ::sigfillset(&signals);
        ::posix_spawnattr_setsigdefault(&value, &signals);
        ::posix_spawnattr_setpgroup(&value, 0);
        int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        if (own_group) flags |= POSIX_SPAWN_SETPGROUP;
        ::posix_spawnattr_setflags(&value, static_cast<short>(flags));
    }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    ~Attributes() { ::posix_spawnattr_destroy(&value); }
    posix_spawnattr_t value;
};

// What execve wants. The strings must outlive it.
std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    pointers.reserve(strings.size() + 1);
    for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

// Away from 0, 1 and 2, where what is put in place for one of them would overwrite the source of the next.
std::error_code move_up(nutils::UniqueFd& fd) {
    if (fd.get() > STDERR_FILENO) return {};
    const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0) return {errno, std::generic_category()};
    fd.reset(moved);
    return {};
}

}  // namespace

// Where 0, 1 and 2 of the child come from.
class StdioPlan {
  public:
    explicit StdioPlan(FileActions& actions) : actions_(actions.value) {}

    // `ours` becomes our end, when there is a pipe.
    std::error_code add(int target, const Stdio& wanted, nutils::UniqueFd& ours) {
        const bool is_input = target == STDIN_FILENO;
        switch (wanted.kind_) {
            case Stdio::Kind::inherit: return {};
            case Stdio::Kind::null:
                FileActions::check(::posix_spawn_file_actions_addopen(&actions_, target, "/dev/null",
                                                                      is_input ? O_RDONLY : O_WRONLY, 0));
                return {};
            case Stdio::Kind::as_output:
                EVC_CHECK(target == STDERR_FILENO, "Stdio::as_output() is for stderr: it means 2>&1");
                FileActions::check(
                    ::posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO));
                return {};
            case Stdio::Kind::fd: {
                nutils::UniqueFd copy(::fcntl(wanted.fd_, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
                if (!copy) return {errno, std::generic_category()};
                return place(std::move(copy), target);
            }
            case Stdio::Kind::pipe: break;
        }
        cutils::Result<nutils::PipeEnds> ends = nutils::make_pipe();
        if (!ends) return ends.error().code();
        ours = std::move(is_input ? ends->writing : ends->reading);
        if (const std::error_code error = move_up(ours)) return error;
        return place(std::move(is_input ? ends->reading : ends->writing), target);
    }

  private:
    std::error_code place(nutils::UniqueFd source, int target) {
        if (const std::error_code error = move_up(source)) return error;
        FileActions::check(::posix_spawn_file_actions_adddup2(&actions_, source.get(), target));
        theirs_[static_cast<std::size_t>(target)] = std::move(source);
        return {};
    }

    posix_spawn_file_actions_t& actions_;
    std::array<nutils::UniqueFd, 3> theirs_;  // open until the child has its copies
};

namespace {
// What execve(2) would cut off there.
bool holds_zero_byte(const std::vector<std::string>& texts) {
    return std::any_of(texts.begin(), texts.end(),
                       [](const std::string& text) { return text.find('\0') != std::string::npos; });
}
}  // namespace

cutils::Result<ChildProcess> ChildProcess::spawn(EvLoop& loop, const std::vector<std::string>& argv,
                                                 SpawnOptions options) {
    EVC_CHECK(!argv.empty(), "ChildProcess::spawn() without a program");
    const auto failed = [&](const std::error_code& error) {
        std::string what = "spawn " + argv.front();
        if (!options.directory.empty()) what += " in " + options.directory;
        return cutils::Error(error, std::move(what));
    };
    if (holds_zero_byte(argv) || (options.environment && holds_zero_byte(*options.environment)) ||
        holds_zero_byte({options.directory}))
        return failed(std::make_error_code(std::errc::invalid_argument));
    ChildProcess child = prepare(loop);
    FileActions actions;
    StdioPlan plan(actions);
    std::array<nutils::UniqueFd, 3> ours;
    const std::array<const Stdio*, 3> wanted{&options.input, &options.output, &options.errors};
    for (std::size_t i = 0; i < ours.size(); ++i)
        if (const std::error_code error = plan.add(static_cast<int>(i), *wanted[i], ours[i]))
            return failed(error);
    if (!options.directory.empty())
        FileActions::check(::posix_spawn_file_actions_addchdir_np(&actions.value, options.directory.c_str()));
    if (ours[0]) child.input_ = EvPipe(loop, std::move(ours[0]));
    if (ours[1]) child.output_ = EvPipe(loop, std::move(ours[1]));
    if (ours[2]) child.errors_ = EvPipe(loop, std::move(ours[2]));

    const Attributes attributes(options.own_group);
    const std::vector<char*> arguments = pointers_to(argv);
    const std::vector<char*> environment =
        options.environment ? pointers_to(*options.environment) : std::vector<char*>();
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, arguments.front(), &actions.value, &attributes.value,
                                     arguments.data(), options.environment ? environment.data() : environ);
    if (error != 0) return failed({error, std::generic_category()});
    if (const std::error_code unwatched = child.begin(pid)) return failed(unwatched);
    return child;
}

}  // namespace evcorothread::process
