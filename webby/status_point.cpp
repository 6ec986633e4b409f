#include "webby/status_point_internal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <tuple>

#include "webby/utf8_text.h"

namespace webby {
namespace {

std::string number(double value) {
    if (!std::isfinite(value)) return "0";
    std::array<char, 32> text;
    return {text.data(),
            std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 10).ptr};
}

// {"name":value,…}, or […].
class Json {
  public:
    explicit Json(char end) : end_(end) { text_ += end == '}' ? '{' : '['; }
    Json& add(std::string_view name, std::string_view json) {
        text_.append(json_text(name)).append(":").append(json).append(",");
        return *this;
    }
    Json& add(std::string_view name, double value) { return add(name, std::string_view(number(value))); }
    Json& add(std::string_view name, std::uint64_t value) {
        return add(name, std::string_view(std::to_string(value)));
    }
    Json& push(std::string_view json) {
        text_.append(json).append(",");
        return *this;
    }
    std::string done() {
        if (text_.back() == ',') text_.pop_back();
        return std::move(text_ += end_);
    }

  private:
    const char end_;
    std::string text_;
};

double seconds(cutils::Duration time) { return std::chrono::duration<double>(time).count(); }

std::string describe(const evcorothread::ThreadReport& thread) {
    std::string what(evcorothread::to_string(thread.state));
    if (!thread.waits_for.empty()) what = thread.waits_for;
    return thread.canceled ? what + ", canceled" : what;
}

std::string coded(const std::vector<ServerMetrics::CodeCount>& counts) {
    Json json('}');
    for (const auto& [code, count] : counts) json.add(std::to_string(code), count);
    return json.done();
}

std::string loop_json(const LoopMetrics& loop) {
    Json json('}');
    json.add("stacks", std::uint64_t{loop.stacks_in_use}).add("peak", std::uint64_t{loop.stacks_peak});
    json.add("limit", std::uint64_t{loop.stacks_limit}).add("coroutines", std::uint64_t{loop.coroutines});
    json.add("waiting", std::uint64_t{loop.waiting});
    json.add("threads", std::uint64_t{loop.threads}).add("threads_limit", std::uint64_t{loop.threads_limit});
    if (loop.stalls_known) json.add("stall", seconds(loop.longest_stall)).add("stalls", loop.stalls);
    return json.done();
}

std::string waits_json(const std::vector<LoopMetrics>& loops) {
    constexpr std::size_t kMost = 40;
    Json json(']');
    std::size_t shown = 0;
    for (const WaitingGroup& group : group_waits(loops)) {
        if (++shown > kMost) break;
        json.push(Json('}')
                      .add("name", json_text(group.name))
                      .add("what", json_text(group.what))
                      .add("detail", json_text(group.detail))
                      .add("count", std::uint64_t{group.count})
                      .add("loop", std::uint64_t{group.loop})
                      .done());
    }
    return json.done();
}

}  // namespace

std::string html_text(std::string_view text) {
    std::string good(text), out;
    replace_broken_utf8(good);
    for (const char c : good) switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    return out;
}

std::string json_text(std::string_view text) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string good(text), out = "\"";
    replace_broken_utf8(good);
    for (const char c : good) {
        const auto code = static_cast<unsigned char>(c);
        if (code < 0x20 || code == 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&')
            out.append("\\u00").append({kHex[code >> 4], kHex[code & 15]});
        else
            out += c;
    }
    return out += '"';
}

std::vector<WaitingGroup> group_waits(const std::vector<LoopMetrics>& loops) {
    std::vector<WaitingGroup> groups;
    for (std::size_t i = 0; i < loops.size(); ++i)
        for (const evcorothread::ThreadReport& thread : loops[i].where) {
            const std::string what = describe(thread);
            const auto same = std::find_if(groups.begin(), groups.end(), [&](const WaitingGroup& group) {
                return group.loop == i && group.name == thread.name && group.what == what;
            });
            if (same != groups.end())
                ++same->count;
            else
                groups.push_back({thread.name, what, thread.detail, 1, i});
        }
    std::stable_sort(groups.begin(), groups.end(), [](const WaitingGroup& a, const WaitingGroup& b) {
        return std::tuple(b.count, a.loop) < std::tuple(a.count, b.loop);
    });
    return groups;
}

StatusPoint between(const StatusLook& before, const StatusLook& now) {
    const ServerMetrics& was = before.metrics;
    const ServerMetrics& is = now.metrics;
    const double time = std::max(seconds(is.taken - was.taken), 1e-3);
    const auto rate = [time](std::uint64_t from, std::uint64_t to) {
        return to > from ? static_cast<double>(to - from) / time : 0.0;
    };
    const LatencyHistogram latency = is.latency - was.latency;
    StatusPoint point;
    point.at = now.wall_time;
    point.requests = rate(was.request_count(), is.request_count());
    point.errors_4xx = rate(was.responses_of(4), is.responses_of(4));
    point.errors_5xx = rate(was.responses_of(5), is.responses_of(5));
    point.received = rate(was.received_bytes, is.received_bytes);
    point.sent = rate(was.sent_bytes, is.sent_bytes);
    point.p50 = seconds(latency.percentile(0.5));
    point.p90 = seconds(latency.percentile(0.9));
    point.p99 = seconds(latency.percentile(0.99));
    point.queued_p99 = seconds((is.queued - was.queued).percentile(0.99));
    point.accepted = rate(was.accepted, is.accepted);
    point.cpu = (now.cpu_seconds - before.cpu_seconds) / time;
    point.idle = is.idle();
    point.active = is.active;
    point.waiting = is.waiting();
    for (const LoopMetrics& loop : is.loops) {
        point.stacks += loop.stacks_in_use;
        point.stacks_peak += loop.stacks_peak;
        point.stacks_limit += loop.stacks_limit;
        point.threads += loop.threads;
        point.threads_limit += loop.threads_limit;
    }
    return point;
}

std::string StatusPoint::to_json() const {
    Json json(']');
    for (const double value :
         {at, requests, errors_4xx, errors_5xx, received, sent, p50, p90, p99, queued_p99, accepted, cpu})
        json.push(number(value));
    for (const std::uint64_t value :
         {idle, active, waiting, stacks, stacks_peak, stacks_limit, threads, threads_limit})
        json.push(std::to_string(value));
    return json.done();
}

std::string details_json(const StatusLook& now) {
    const ServerMetrics& all = now.metrics;
    Json methods('}'), timeouts('}'), loops(']');
    for (std::size_t i = 0; i < all.requests.size(); ++i)
        if (all.requests[i] > 0) methods.add(to_string(static_cast<Method>(i)), all.requests[i]);
    for (std::size_t i = 0; i < kTimeoutKinds; ++i)
        if (all.timeouts[i] > 0) timeouts.add(to_string(static_cast<TimeoutKind>(i)), all.timeouts[i]);
    for (const LoopMetrics& loop : all.loops) loops.push(loop_json(loop));
    return Json('}')
        .add("requests", all.request_count())
        .add("methods", methods.done())
        .add("responses", coded(all.responses))
        .add("refused", coded(all.refused))
        .add("timeouts", timeouts.done())
        .add("received", all.received_bytes)
        .add("sent", all.sent_bytes)
        .add("accepted", all.accepted)
        .add("closed", all.closed)
        .add("cut", all.cut)
        .add("drained", all.drained)
        .add("handshakes", all.handshakes)
        .add("failed_handshakes", all.failed_handshakes)
        .add("exceptions", all.exceptions)
        .add("draining", std::string_view(all.draining ? "true" : "false"))
        .add("resident", now.resident_bytes)
        .add("descriptors", std::uint64_t{now.open_descriptors})
        .add("cpu_seconds", now.cpu_seconds)
        .add("uptime", now.wall_time - now.started)
        .add("loops", loops.done())
        .add("waits", waits_json(all.loops))
        .done();
}

}  // namespace webby
