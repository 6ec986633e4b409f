#include "webby/metrics_page.h"

#include <functional>
#include <map>

#include "webby/http_types.h"
#include "webby/process_figures_internal.h"
#include "webby/prometheus_text.h"

namespace webby {
namespace {

using enum MetricType;

double in_seconds(cutils::Duration time) { return std::chrono::duration<double>(time).count(); }

class Page {
  public:
    explicit Page(const ServerMetrics& metrics) : all_(metrics) {}

    std::string write(const MetricsPageOptions& options) {
        about();
        requests();
        responses();
        latencies();
        connections();
        loops();
        if (options.process) process();
        if (options.own != nullptr) options.own->write(out_);
        return std::move(out_.text());
    }

  private:
    template <class T>
    void single(std::string_view name, MetricType type, std::string_view help, T value) {
        out_.family(name, type, help);
        out_.sample({}, value);
    }

    void about() {
        out_.family("webby_info", gauge, "What runs here: always 1.");
        out_.sample({{"version", EVC_VERSION}, {"paradigm", to_string(all_.paradigm)}}, std::uint64_t{1});
        single("webby_draining", gauge, "1 while the server is stopping.", std::uint64_t{all_.draining});
    }

    void requests() {
        out_.family("webby_http_requests_total", counter, "Requests whose head was complete.");
        for (std::size_t i = 0; i < all_.requests.size(); ++i)
            out_.sample({{"method", to_string(static_cast<Method>(i))}}, all_.requests[i]);
        single("webby_http_received_bytes_total", counter, "Bytes of HTTP received, after TLS.",
               all_.received_bytes);
        single("webby_http_sent_bytes_total", counter, "Bytes of HTTP sent, before TLS.", all_.sent_bytes);
        single("webby_exceptions_total", counter, "Exceptions that left servlets and filters.",
               all_.exceptions);
        out_.family("webby_timeouts_total", counter, "Whose time was over.");
        for (std::size_t i = 0; i < kTimeoutKinds; ++i)
            out_.sample({{"kind", to_string(static_cast<TimeoutKind>(i))}}, all_.timeouts[i]);
    }

    void responses() {
        static constexpr std::string_view kClasses[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
        out_.family("webby_http_responses_total", counter, "Responses by class of status.");
        for (unsigned i = 0; i < 5; ++i) out_.sample({{"class", kClasses[i]}}, all_.responses_of(i + 1));
        out_.family("webby_http_errors_total", counter, "Responses with a status of 400 or more.");
        for (const auto& [code, count] : all_.responses)
            if (code >= 400) out_.sample({{"code", std::to_string(code)}}, count);
        out_.family(
            "webby_http_refused_total", counter,
            "Requests that were refused before anybody was asked: malformed, too large, too slow, for "
            "another host, or too many.");
        // From the start, those that the server itself says: a rate needs a first sample.
        std::map<unsigned, std::uint64_t> refused;
        for (const unsigned code : {400u, 408u, 413u, 414u, 417u, 421u, 431u, 501u, 503u, 505u})
            refused[code];
        for (const auto& [code, count] : all_.refused) refused[code] = count;
        for (const auto& [code, count] : refused) out_.sample({{"code", std::to_string(code)}}, count);
    }

    void histogram(std::string_view name, std::string_view help, const LatencyHistogram& times) {
        constexpr unsigned kFirst = 14, kLast = 34;  // powers of two: 16 µs to 17 s
        out_.family(name, MetricType::histogram, help);
        for (unsigned i = kFirst; i <= kLast; ++i) {
            const cutils::Duration end(1LL << i);
            out_.bucket({}, in_seconds(end), times.count_until(end));
        }
        out_.histogram_end({}, in_seconds(times.sum), times.count());
    }
    void latencies() {
        histogram("webby_http_request_duration_seconds",
                  "From the complete head until the response was handed over.", all_.latency);
        histogram("webby_http_queue_duration_seconds", "From the first byte until there was a stack.",
                  all_.queued);
    }

    void connections() {
        out_.family("webby_connections", gauge, "Open connections.");
        out_.sample({{"state", "idle"}}, all_.idle());
        out_.sample({{"state", "active"}}, all_.active);
        out_.sample({{"state", "waiting"}}, all_.waiting());
        single("webby_connections_accepted_total", counter, "Connections accepted.", all_.accepted);
        single("webby_connections_closed_total", counter, "Connections closed.", all_.closed);
        single("webby_connections_cut_total", counter,
               "Connections that ended in the middle of a request or a response.", all_.cut);
        single("webby_unsent_bytes", gauge, "Memory of answers that wait for slow clients.",
               all_.unsent_bytes);
        single("webby_unsent_cut_total", counter,
               "Connections cut because answers that waited for slow clients held too much memory.",
               all_.cut_unsent);
        single("webby_connections_drained_total", counter,
               "Connections that closed while the server was stopping.", all_.drained);
        out_.family("webby_tls_handshakes_total", counter, "TLS handshakes.");
        out_.sample({{"result", "done"}}, all_.handshakes);
        out_.sample({{"result", "failed"}}, all_.failed_handshakes);
    }

    // One sample a loop.
    void each_loop(std::string_view name, MetricType type, std::string_view help,
                   const std::function<void(PrometheusText::Labels, const LoopMetrics&)>& sample) {
        out_.family(name, type, help);
        for (std::size_t i = 0; i < all_.loops.size(); ++i) {
            const std::string number = std::to_string(i);
            const MetricLabel label{"loop", number};
            sample({&label, 1}, all_.loops[i]);
        }
    }
    void each_loop(std::string_view name, std::string_view help, std::size_t LoopMetrics::*figure) {
        each_loop(name, gauge, help, [&](PrometheusText::Labels labels, const LoopMetrics& loop) {
            out_.sample(labels, std::uint64_t{loop.*figure});
        });
    }
    void loops() {
        each_loop("webby_stacks_in_use", "Stacks of coroutines in use.", &LoopMetrics::stacks_in_use);
        each_loop("webby_stacks_peak", "The most stacks that were ever in use.", &LoopMetrics::stacks_peak);
        each_loop("webby_stacks_limit", "Stacks there are: coroutines at a time.",
                  &LoopMetrics::stacks_limit);
        each_loop("webby_coroutines", "Coroutines that live.", &LoopMetrics::coroutines);
        if (all_.paradigm == Paradigm::thread) {
            each_loop("webby_threads", "OS threads that serve.", &LoopMetrics::threads);
            each_loop("webby_threads_limit", "OS threads that may serve.", &LoopMetrics::threads_limit);
        }
        const bool stalls = !all_.loops.empty() && all_.loops.front().stalls_known;
        if (!stalls) return;
        each_loop("webby_loop_longest_stall_seconds", gauge, "The longest time that a loop did not get on.",
                  [this](PrometheusText::Labels labels, const LoopMetrics& loop) {
                      out_.sample(labels, in_seconds(loop.longest_stall));
                  });
        each_loop("webby_loop_stalls_total", counter, "How often a loop did not get on for too long.",
                  [this](PrometheusText::Labels labels, const LoopMetrics& loop) {
                      out_.sample(labels, loop.stalls);
                  });
    }

    // Named as the client libraries name them.
    void process() {
        const ProcessFigures now = ProcessFigures::now();
        single("process_cpu_seconds_total", counter, "CPU time of the process, user and system.",
               now.cpu_seconds);
        single("process_open_fds", gauge, "Open descriptors.", std::uint64_t{now.descriptors.open});
        single("process_max_fds", gauge, "The most descriptors that may be open.", now.descriptors.most);
        single("process_virtual_memory_bytes", gauge, "Address space.", now.virtual_bytes);
        single("process_resident_memory_bytes", gauge, "Memory.", now.resident_bytes);
        single("process_start_time_seconds", gauge, "When the process started, since 1970.", now.start_time);
        single("process_threads", gauge, "OS threads.", now.threads);
    }

    const ServerMetrics& all_;
    PrometheusText out_;
};

}  // namespace

std::string to_prometheus(const ServerMetrics& metrics, const MetricsPageOptions& options) {
    return Page(metrics).write(options);
}

}  // namespace webby
