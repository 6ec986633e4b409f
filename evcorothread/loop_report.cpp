// EvLoop::report_threads and EvLoop::dump: where everybody is. What a coroutine waits for is not kept for
// this, but found out when somebody asks.
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <unordered_map>
#include <vector>

#include "corothread/pool_list_internal.h"
#include "cutils/log.h"
#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/loop_watch_internal.h"
#include "evcorothread/mutex.h"
#include "evcorothread/printable_internal.h"
#include "evcorothread/select_arm.h"
#include "nutils/sock_addr.h"

namespace evcorothread {
namespace {

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
    char buffer[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return buffer;
}

std::string quoted(std::string_view name) { return '"' + printable(name) + '"'; }

std::string descriptor(int fd) {
    std::string what = "descriptor " + std::to_string(fd);
    if (const auto peer = nutils::SockAddr::peer_of(fd); peer && !peer->to_string().empty())
        what += ", peer " + peer->to_string();
    else if (const auto local = nutils::SockAddr::local_of(fd); local && !local->to_string().empty())
        what += ", local " + local->to_string();
    return what;
}

std::string channel(const ChannelCore& at) {
    return text("channel %p, holds %zu of %zu%s", static_cast<const void*>(&at), at.size(), at.capacity(),
                at.closed() ? ", closed" : "");
}

std::string mutex(const Mutex& at) {
    return at.locked() ? held_by(at.owner_name(), at.owner_id()) : "held by nobody";
}

}  // namespace

std::string held_by(std::string_view name, std::uint64_t id) {
    return "held by " + quoted(name) + " (id " + std::to_string(id) + ")";
}

std::string ChannelArm::what() const {
    return (side_ == Side::recv ? "recv of " : "send to ") + channel(channel_);
}
std::string SocketArmCore::what() const {
    return watch_ != nullptr ? descriptor(watch_->fd) : "a closed socket";
}
std::string DescriptorArmCore::what() const { return descriptor(fd_); }

struct ThreadReporter {
    explicit ThreadReporter(LoopCore& l) : loop(l) {}

    LoopCore& loop;

    // Who waits where is known by those who are waited for.
    std::string joined(const WaitPoint& point) const {
        std::string found;
        const auto look = [&](const ThreadLink& link, std::uint64_t id) {
            if (link.handle == nullptr || link.handle->joiner_ != &point) return;
            found = quoted(name_of(link)) + (id != 0 ? " (id " + std::to_string(id) + ")" : "");
        };
        loop.threads.for_each([&](ThreadCore& t) { look(t, t.id); });
        for_each_pending([&](PendingSpawn& pending) { look(pending, 0); });
        return found;
    }
    std::string bundled(const WaitPoint& point) const {
        std::string found;
        std::size_t named = 0;
        const Bundle* bundle = nullptr;
        const auto look = [&](const ThreadLink& link) {
            if (link.bundle == nullptr || link.bundle->waiter_ != &point) return;
            bundle = link.bundle;
            if (++named <= 3) found.append(named > 1 ? ", " : "").append(quoted(name_of(link)));
        };
        loop.threads.for_each([&](ThreadCore& t) { look(t); });
        for_each_pending([&](PendingSpawn& pending) { look(pending); });
        if (bundle == nullptr) return found;
        return std::to_string(bundle->size()) + " left: " + found + (bundle->size() > 3 ? ", …" : "");
    }
    static std::string selected(std::span<SelectArm* const> arms) {
        std::string all;
        for (const SelectArm* const arm : arms) all.append(all.empty() ? "" : "; ").append(arm->what());
        return all;
    }

    std::string detail(const WaitPoint& point) const {
        const auto object = [&] { return static_cast<const ObjectPoint&>(point).object; };
        switch (point.kind()) {
            case WaitKind::anything:
            case WaitKind::delay: return {};
            case WaitKind::descriptor: return descriptor(point.number());
            case WaitKind::described: return static_cast<const WaitDetail*>(object())->wait_detail();
            case WaitKind::join: return joined(point);
            case WaitKind::bundle: return bundled(point);
            case WaitKind::mutex: return mutex(*static_cast<const Mutex*>(object()));
            case WaitKind::channel: return channel(*static_cast<const ChannelCore*>(object()));
            case WaitKind::sync: return text("%p", object());
            case WaitKind::select:
                return selected(*static_cast<const std::span<SelectArm* const>*>(object()));
        }
        return {};
    }

    template <class F>
    void for_each_pending(F&& visit) const {
        loop.turns.for_each([&](StackTurn& turn) {
            if (auto* const pending = dynamic_cast<PendingSpawn*>(&turn); pending != nullptr) visit(*pending);
        });
    }

    ThreadReport report(ThreadCore& thread, const DumpOptions& options, TimePoint now) const {
        ThreadReport report;
        report.id = thread.id;
        report.name = thread.name();
        report.state = thread.state();
        report.canceled = thread.canceled();
        if (const WaitPoint* const point = thread.waiting; point != nullptr) {
            report.waits_for = point->reason();
            report.detail = detail(*point);
            if (thread.has(kTimed))
                if (const TimePoint since = loop.measurements->waits_since.get()[thread.stack_index];
                    since != TimePoint{})
                    report.waiting = now - since;
            if (thread.armed()) report.deadline = thread.due() - now;
        }
        look_at_stack(report, thread, options);
        return report;
    }

    void look_at_stack(ThreadReport& report, ThreadCore& thread, const DumpOptions& options) const {
        const bool running = report.state == EvThreadState::running;
        const char* const depth = static_cast<const char*>(
            running ? __builtin_frame_address(0) : static_cast<const void*>(thread.context.left_off));
        const corothread::StackPool* pool = &loop.stacks;
        corothread::Stack stack = thread.stack();
        constexpr std::ptrdiff_t kStartFrame = 0x48;
        bool begun = running || static_cast<const char*>(thread.body()) - depth > kStartFrame;
        if (depth < stack.bottom || depth >= stack.top()) {  // in a corothread::Coroutine that it has resumed
            const corothread::StackPlace place = corothread::PoolList::find(depth);
            if (place.pool == nullptr) return;
            pool = place.pool;
            stack = pool->stack(place.index);
            begun = true;
        }
        report.stack_size = stack.size;
        report.stack_used = static_cast<std::size_t>(stack.top() - depth);
        if (options.stack_peaks) report.stack_peak = pool->high_water(stack);
        if (!options.backtraces || !begun) return;
        report.backtrace =
            running ? corothread::Backtrace::here() : corothread::Backtrace::of_suspended(depth);
    }

    static ThreadReport report(const PendingSpawn& pending) {
        ThreadReport report;
        report.name = pending.name();
        report.state = EvThreadState::waiting_for_stack;
        report.canceled = pending.canceled;
        return report;
    }

    std::vector<ThreadReport> all(const DumpOptions& options) const {
        std::vector<ThreadReport> reports;
        const TimePoint now = loop.precise_now();
        loop.threads.for_each([&](ThreadCore& thread) {
            if (reports.size() < options.most) reports.push_back(report(thread, options, now));
        });
        std::sort(reports.begin(), reports.end(),
                  [](const ThreadReport& a, const ThreadReport& b) { return a.id < b.id; });
        for_each_pending([&](const PendingSpawn& pending) {
            if (reports.size() < options.most) reports.push_back(report(pending));
        });
        return reports;
    }
};

namespace {

std::string duration(Duration time) {
    const double seconds = std::chrono::duration<double>(time).count();
    if (seconds < 0) return "0 ms";
    return seconds < 1 ? text("%.1f ms", seconds * 1e3) : text("%.1f s", seconds);
}

std::string kib(std::size_t bytes) { return text("%.1f", static_cast<double>(bytes) / 1024); }

std::string headline(const ThreadReport& report) {
    std::string line = report.id != 0 ? std::to_string(report.id) : "-";
    line.append(" ").append(quoted(report.name)).append(" ").append(to_string(report.state));
    if (report.canceled) line += ", canceled";
    if (!report.waits_for.empty()) line += " in " + report.waits_for;
    if (!report.detail.empty()) line.append(" (").append(report.detail) += ")";
    if (report.waiting) line += " for " + duration(*report.waiting);
    if (report.deadline) line += ", deadline in " + duration(*report.deadline);
    if (report.stack_size != 0) {
        line += "; stack " + kib(report.stack_used) + " of " + kib(report.stack_size) + " KiB";
        if (report.stack_peak != 0) line += ", at most " + kib(report.stack_peak);
    }
    return line;
}

// A crowd stands at the same few places.
class Names {
  public:
    const std::string& of(const void* frame) {
        std::string& name = known_[frame];
        if (name.empty()) name = corothread::symbol_of(frame);
        return name;
    }

  private:
    std::unordered_map<const void*, std::string> known_;
};

void add_backtrace(std::string& to, const corothread::Backtrace& backtrace, Names& names) {
    std::size_t number = 0;
    for (const void* frame : backtrace) {
        if (number == corothread::Backtrace::kInner && backtrace.depth() > backtrace.size())
            to += "      …\n";
        to.append("      #").append(std::to_string(number++)).append(" ").append(names.of(frame)) += "\n";
    }
}

}  // namespace

std::string to_string(const ThreadReport& report) {
    Names names;
    std::string all = headline(report) + "\n";
    add_backtrace(all, report.backtrace, names);
    return all;
}

std::vector<ThreadReport> EvLoop::report_threads(DumpOptions options) const {
    core_->check_thread();
    return ThreadReporter(*core_).all(options);
}

std::string EvLoop::dump(DumpOptions options) const {
    const std::vector<ThreadReport> reports = report_threads(options);
    const corothread::StackPool& pool = core_->stacks;
    std::string all =
        text("loop %p: %zu coroutines; %zu of %zu stacks of %s KiB in use\n", static_cast<void*>(core_.get()),
             core_->thread_count, pool.in_use(), pool.capacity(), kib(pool.stack_size()).c_str());
    Names names;
    for (const ThreadReport& report : reports) {
        all.append("  ").append(headline(report)) += "\n";
        add_backtrace(all, report.backtrace, names);
    }
    if (core_->thread_count > reports.size())
        all += "  and " + std::to_string(core_->thread_count - reports.size()) + " more\n";
    return all;
}

// For the lock check (lockcheck/lock_check.cpp), which may be preloaded into a program that knows nothing of
// it.
extern "C" {
EVC_API std::uint64_t evcorothread_current(void** thread) {
    *thread = t_here.thread;
    return t_here.thread != nullptr ? t_here.thread->id : 0;
}
// One of the calling OS thread's, which may have ended.
EVC_API void evcorothread_describe(void* thread, std::uint64_t id, void (*line)(const char* text)) {
    const auto held = evcorothread::try_hold_list_of_loops();
    if (!held) return line("at a place that cannot be looked at now\n");
    bool lives = false;
    for (LoopCore* loop = evcorothread::first_loop(); loop != nullptr; loop = loop->next_loop)
        if (loop->thread == &t_here)
            loop->threads.for_each([&](const ThreadCore& t) { lives |= &t == thread && t.id == id; });
    if (!lives) return line("nowhere: it has ended\n");
    auto& core = *static_cast<ThreadCore*>(thread);
    const ThreadReporter reporter(core.loop);
    line(to_string(reporter.report(core, {}, core.loop.precise_now())).c_str());
}
EVC_API void evcorothread_write_frames(void* const* frames, int count) {
    for (int i = 0; i < count; ++i) {
        (void)!::write(STDERR_FILENO, "  ", 2);
        corothread::write_symbol(STDERR_FILENO, frames[i]);
    }
}
}

namespace {
void post_dump(LoopCore& core, DumpOptions options) {
    core.inbox.post(
        [&core, options] { cutils::log_line(cutils::LogLevel::info, core.owner->dump(options)); });
}
}  // namespace

void EvLoop::request_dump(DumpOptions options) { post_dump(*core_, options); }

void EvLoop::request_dump_of_all(DumpOptions options) {
    const auto held = hold_list_of_loops();
    for (LoopCore* loop = first_loop(); loop != nullptr; loop = loop->next_loop) post_dump(*loop, options);
}

}  // namespace evcorothread
