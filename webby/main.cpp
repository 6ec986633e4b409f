// The program: serves a folder. Everything it does, an application can do with webby::Server.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "corothread/stack_pool.h"
#include "cutils/log.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/signal_watch.h"
#include "webby/content_coding.h"
#include "webby/server.h"

namespace {

constexpr int kUsageError = 2;

struct Arguments {
    webby::ServerOptions server;
    std::string root = ".";
    webby::FilesOptions files;
    std::string paradigm{to_string(webby::Paradigm::coroutine)};
    std::vector<std::string> certificates, keys;
    double io_timeout = 30;
    double idle_timeout = 60;
    double head_timeout = 10;
};

void describe_tls(CLI::App& program, Arguments& arguments) {
    using evcorothread::TlsClientAuth;
    using evcorothread::TlsVersion;
    webby::ServerOptions& server = arguments.server;
    evcorothread::TlsServerOptions& tls = server.tls;
    program
        .add_option("--listen-tls", server.listen_tls,
                    "where to speak HTTPS; may be repeated; without --listen, only there")
        ->type_name("ADDR:PORT")
        ->allow_extra_args(false);
    program
        .add_option("--tls-cert", arguments.certificates,
                    "PEM file: our certificate, then those between it and the root; may be repeated, clients "
                    "get the one for the host they name; read again on SIGHUP")
        ->type_name("FILE")
        ->allow_extra_args(false);
    program.add_option("--tls-key", arguments.keys, "PEM file: its private key; as often as --tls-cert")
        ->type_name("FILE")
        ->allow_extra_args(false);
    program
        .add_option("--tls-client-ca", tls.client_ca_file, "PEM file: who issues the clients' certificates")
        ->type_name("FILE");
    program.add_option("--tls-client-auth", tls.client_auth, "must clients show a certificate?")
        ->transform(
            CLI::Transformer(std::map<std::string, TlsClientAuth>{{"none", TlsClientAuth::none},
                                                                  {"optional", TlsClientAuth::optional},
                                                                  {"required", TlsClientAuth::required}}))
        ->type_name("none|optional|required");
    program.add_option("--tls-min", tls.min_version, "the oldest version spoken; 1.2 if not given")
        ->transform(CLI::Transformer(
            std::map<std::string, TlsVersion>{{"1.2", TlsVersion::tls1_2}, {"1.3", TlsVersion::tls1_3}}))
        ->type_name("1.2|1.3");
}

void describe_files(CLI::App& program, Arguments& arguments) {
    webby::FilesOptions& files = arguments.files;
    program.add_option("--root", arguments.root, "the folder to serve")
        ->type_name("DIR")
        ->capture_default_str();
    program
        .add_option("--index", files.index,
                    "what stands for a folder; may be repeated, the first that is there")
        ->type_name("NAME")
        ->allow_extra_args(false)
        ->capture_default_str();
    program.add_flag("--listing", files.listing, "folders without an index are listed");
    program
        .add_option("--spa-fallback", files.spa_fallback,
                    "for an application of a single page: this file answers where there is none")
        ->type_name("FILE");
    program.add_option("--cache-control", files.cache_control, "the Cache-Control of files")
        ->type_name("VALUE");
    program.add_flag("--precompressed", files.precompressed,
                     "sends FILE.zst, FILE.br or FILE.gz instead of FILE to who takes it");
    program.add_flag("--compress", files.compress, "compresses text on the way, for clients that take it");
}

void describe(CLI::App& program, Arguments& arguments) {
    webby::ServerOptions& server = arguments.server;
    const CLI::Range count(std::size_t{1}, std::size_t{10'000'000});
    const CLI::Validator seconds(
        [](std::string& text) -> std::string {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            return end != text.c_str() && *end == 0 && value >= 0.001 && value <= 1e6  // false for nan
                       ? ""
                       : "\"" + text + "\" is not a number of seconds between 0.001 and 1000000";
        },
        "", "seconds");
    program.set_version_flag("--version", "webby " EVC_VERSION);
    program
        .add_option("--listen", server.listen, "where to listen; may be repeated; port 0 takes a free one")
        ->type_name("ADDR:PORT")
        ->allow_extra_args(false)
        ->capture_default_str();
    describe_tls(program, arguments);
    describe_files(program, arguments);
    program
        .add_option("--paradigm", arguments.paradigm, "who drives the connections: coroutine, thread, event")
        ->check(CLI::IsMember({"coroutine", "thread", "event"}))
        ->type_name("NAME")
        ->capture_default_str();
    program
        .add_option("--workers", server.workers, "loops, each on an OS thread of its own; 0: as many as CPUs")
        ->check(CLI::Range(std::size_t{0}, std::size_t{1024}))
        ->type_name("N")
        ->capture_default_str();
    program
        .add_option("--max-active", server.max_active,
                    "requests in progress at most, with coroutine: the stacks")
        ->check(count)
        ->type_name("N")
        ->capture_default_str();
    program
        .add_option("--threads", server.threads, "requests in progress at most, with thread: the OS threads")
        ->check(CLI::Range(std::size_t{1}, std::size_t{32'768}))
        ->type_name("N")
        ->capture_default_str();
    program.add_option("--stack-pages", server.stack_pages, "pages of 4 KiB a stack")
        ->check(CLI::Range(std::size_t{4}, std::size_t{65'536}))
        ->type_name("N")
        ->capture_default_str();
    program
        .add_option("--max-connections", server.max_connections, "connections at most, idle ones among them")
        ->check(count)
        ->type_name("N")
        ->capture_default_str();
    program.add_option("--io-timeout", arguments.io_timeout, "without progress in a body or a response")
        ->check(seconds)
        ->type_name("S")
        ->capture_default_str();
    program.add_option("--idle-timeout", arguments.idle_timeout, "between two requests")
        ->check(seconds)
        ->type_name("S")
        ->capture_default_str();
    program
        .add_option("--head-timeout", arguments.head_timeout,
                    "for the head of a request, from its first byte")
        ->check(seconds)
        ->type_name("S")
        ->capture_default_str();
    program.add_option("--access-log", server.access_log, "common log format; - for stdout")
        ->type_name("FILE|-");
}

std::chrono::milliseconds to_milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<long long>(seconds * 1000));
}

// One line on stderr, whatever CLI11 has to say.
int complain(std::string text) {
    for (char& c : text)
        if (c == '\n') c = ' ';
    std::fprintf(stderr, "webby: %s\n", text.c_str());
    return kUsageError;
}

// Connections are descriptors; the soft limit is for programs that use select(2).
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// What belongs together among the options. Empty, or what is wrong.
std::string complete(const CLI::App& program, Arguments& arguments) {
    webby::ServerOptions& server = arguments.server;
    if (arguments.certificates.size() != arguments.keys.size()) return "each --tls-cert needs a --tls-key";
    if (server.listen_tls.empty() != arguments.certificates.empty())
        return "--listen-tls, --tls-cert and --tls-key go together";
    for (std::size_t i = 0; i < arguments.keys.size(); ++i)
        server.tls.certificates.push_back({arguments.certificates[i], arguments.keys[i]});
    if (!server.listen_tls.empty() && program.count("--listen") == 0) server.listen.clear();
    if (arguments.files.compress && webby::content_codings().empty())
        return "--compress: built without compression (make COMPRESSION=1)";
    if (arguments.files.compress && server.stack_pages < 8) return "--compress needs --stack-pages 8 or more";
    return {};
}

// The address of that number, the plain ones first.
std::string url_of(const Arguments& arguments, const webby::Server& server, std::size_t number) {
    const nutils::SockAddr& address = server.addresses()[number];
    const bool tls = number >= arguments.server.listen.size();
    return address.is_ip() ? (tls ? "https://" : "http://") + address.to_string() + "/" : address.to_string();
}

void announce(const Arguments& arguments, const webby::Server& server) {
    for (std::size_t i = 1; i < server.addresses().size(); ++i)
        cutils::log(cutils::LogLevel::info, "webby: also at %s", url_of(arguments, server, i).c_str());
    std::printf("webby: serving %s at %s (%s)\n", arguments.root.c_str(),
                url_of(arguments, server, 0).c_str(), arguments.paradigm.c_str());
    std::fflush(stdout);
}

// What a signal that ends the program does: the first one asks, the second one insists.
class Ending {
  public:
    Ending(evcorothread::EvLoop& loop, std::function<void()> ask)
        : watch_(loop, {SIGTERM, SIGINT}, [this, ask = std::move(ask)](int signal) {
              if (std::exchange(asked_, true)) ::_exit(128 + signal);
              ask();
          }) {}

  private:
    bool asked_ = false;
    evcorothread::SignalWatch watch_;
};

// New certificates on SIGHUP. Without TLS the signal does what it always does.
class Reloading {
  public:
    Reloading(evcorothread::EvLoop& loop, const Arguments& arguments, webby::Server& server) {
        if (arguments.server.listen_tls.empty()) return;
        watch_.emplace(loop, std::initializer_list<int>{SIGHUP}, [&server](int) {
            if (const cutils::Result<void> done = server.reload_certificates(); !done)
                cutils::log(cutils::LogLevel::error, "webby: the old certificates stay: %s",
                            done.error().message().c_str());
            else
                cutils::log(cutils::LogLevel::info, "webby: certificates read again");
        });
    }

  private:
    std::optional<evcorothread::SignalWatch> watch_;
};

int serve(const Arguments& arguments) {
    corothread::StackPool stacks(
        {.count = arguments.server.max_active, .pages = arguments.server.stack_pages});
    evcorothread::EvLoop loop(stacks);
    webby::Server server(arguments.server);
    server.files("/", arguments.root, arguments.files);
    if (const cutils::Result<void> listening = server.attach(loop); !listening)
        return complain(listening.error().message());
    const Ending ending(loop, [&server] { server.stop(); });
    const Reloading reloading(loop, arguments, server);
    announce(arguments, server);
    loop.run();
    return 0;
}

// The workers serve; this thread's loop only waits for signals.
int serve_with_workers(const Arguments& arguments) {
    corothread::StackPool stacks({.count = 1});
    evcorothread::EvLoop loop(stacks);
    evcorothread::CrossEvent end;
    const Ending ending(loop, [&end] { end.set(); });

    const std::size_t count = evcorothread::LoopGroup({.loops = arguments.server.workers}).size();
    evcorothread::LoopGroup workers({.loops = count,
                                     .stacks = {.count = (arguments.server.max_active + count - 1) / count,
                                                .pages = arguments.server.stack_pages},
                                     .name = "webby"});
    if (const cutils::Result<void> started = workers.start(); !started)
        return complain(started.error().message());
    webby::Server server(arguments.server);
    server.files("/", arguments.root, arguments.files);
    if (const cutils::Result<void> listening = server.attach(workers); !listening)
        return complain(listening.error().message());
    const Reloading reloading(loop, arguments, server);
    announce(arguments, server);
    loop.spawn("end", [&] {
        (void)end.wait(cutils::Deadline::never);
        server.stop();
        (void)workers.shutdown(arguments.server.drain + std::chrono::seconds(5));
    });
    loop.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    CLI::App program("webby: serves a folder over HTTP/1.1, with coroutines, threads or callbacks.", "webby");
    describe(program, arguments);
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
        return complain(error.what());
    }
    if (std::string wrong = complete(program, arguments); !wrong.empty()) return complain(std::move(wrong));
    webby::Timeouts& timeouts = arguments.server.timeouts;
    timeouts.io = to_milliseconds(arguments.io_timeout);
    timeouts.idle = to_milliseconds(arguments.idle_timeout);
    timeouts.head = to_milliseconds(arguments.head_timeout);
    arguments.server.paradigm = webby::parse_paradigm(arguments.paradigm).value();
    if (arguments.server.paradigm != webby::Paradigm::coroutine) arguments.server.max_active = 1;
    raise_descriptor_limit();
    try {
        return arguments.server.workers == 1 ? serve(arguments) : serve_with_workers(arguments);
    } catch (const std::exception& error) {  // no memory for so many stacks
        return complain(error.what());
    }
}
