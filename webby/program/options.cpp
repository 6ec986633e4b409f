#include "webby/program/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>

#include "webby/content_coding.h"

namespace webby::program {
namespace {

// Seconds, as the user may give them.
CLI::Validator seconds(double least) {
    return CLI::Validator(
        [least](std::string& text) -> std::string {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            if (end != text.c_str() && *end == 0 && value >= least && value <= 1e6) return "";  // not nan
            return "\"" + text + "\" is not a number of seconds between " + (least > 0 ? "0.001" : "0") +
                   " and 1000000";
        },
        "", "seconds");
}

const CLI::Range& count() {
    static const CLI::Range range(std::size_t{1}, std::size_t{10'000'000});
    return range;
}

void describe_tls(CLI::App& parser, Arguments& arguments) {
    using evcorothread::TlsClientAuth;
    using evcorothread::TlsVersion;
    ServerOptions& server = arguments.server;
    evcorothread::TlsServerOptions& tls = server.tls;
    parser
        .add_option("--listen-tls", server.listen_tls,
                    "where to speak HTTPS; may be repeated; without --listen, only there")
        ->type_name("ADDR:PORT")
        ->allow_extra_args(false);
    parser
        .add_option("--tls-cert", arguments.certificates,
                    "PEM file: our certificate, then those between it and the root; may be repeated, clients "
                    "get the one for the host they name; read again on SIGHUP")
        ->type_name("FILE")
        ->allow_extra_args(false);
    parser.add_option("--tls-key", arguments.keys, "PEM file: its private key; as often as --tls-cert")
        ->type_name("FILE")
        ->allow_extra_args(false);
    parser
        .add_option("--tls-client-ca", tls.client_ca_file, "PEM file: who issues the clients' certificates")
        ->type_name("FILE");
    parser.add_option("--tls-client-auth", tls.client_auth, "must clients show a certificate?")
        ->transform(
            CLI::Transformer(std::map<std::string, TlsClientAuth>{{"none", TlsClientAuth::none},
                                                                  {"optional", TlsClientAuth::optional},
                                                                  {"required", TlsClientAuth::required}}))
        ->type_name("none|optional|required");
    parser.add_option("--tls-min", tls.min_version, "the oldest version spoken; 1.2 if not given")
        ->transform(CLI::Transformer(
            std::map<std::string, TlsVersion>{{"1.2", TlsVersion::tls1_2}, {"1.3", TlsVersion::tls1_3}}))
        ->type_name("1.2|1.3");
}

void describe_files(CLI::App& parser, Arguments& arguments) {
    FilesOptions& files = arguments.files;
    parser.add_option("--root", arguments.root, "the folder to serve")
        ->type_name("DIR")
        ->capture_default_str();
    parser
        .add_option("--index", files.index,
                    "what stands for a folder; may be repeated, the first that is there")
        ->type_name("NAME")
        ->allow_extra_args(false)
        ->capture_default_str();
    parser.add_flag("--listing", files.listing, "folders without an index are listed");
    parser
        .add_option("--spa-fallback", files.spa_fallback,
                    "for an application of a single page: this file answers where there is none")
        ->type_name("FILE");
    parser.add_option("--cache-control", files.cache_control, "the Cache-Control of files")
        ->type_name("VALUE");
    parser.add_flag("--precompressed", files.precompressed,
                    "sends FILE.zst, FILE.br or FILE.gz instead of FILE to who takes it");
    parser.add_flag("--compress", files.compress, "compresses text on the way, for clients that take it");
}

void describe_listening(CLI::App& parser, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    parser.add_option("--listen", server.listen, "where to listen; may be repeated; port 0 takes a free one")
        ->type_name("ADDR:PORT")
        ->allow_extra_args(false)
        ->capture_default_str();
}

void describe_work(CLI::App& parser, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    parser
        .add_option("--paradigm", arguments.paradigm, "who drives the connections: coroutine, thread, event")
        ->check(CLI::IsMember({"coroutine", "thread", "event"}))
        ->type_name("NAME")
        ->capture_default_str();
    parser
        .add_option("--workers", server.workers, "loops, each on an OS thread of its own; 0: as many as CPUs")
        ->check(CLI::Range(std::size_t{0}, std::size_t{1024}))
        ->type_name("N")
        ->capture_default_str();
    parser
        .add_option("--max-active", server.max_active,
                    "requests in progress at most, with coroutine: the stacks")
        ->check(count())
        ->type_name("N")
        ->capture_default_str();
    parser
        .add_option("--threads", server.threads, "requests in progress at most, with thread: the OS threads")
        ->check(CLI::Range(std::size_t{1}, std::size_t{32'768}))
        ->type_name("N")
        ->capture_default_str();
    parser.add_option("--stack-pages", server.stack_pages, "pages of 4 KiB a stack")
        ->check(CLI::Range(std::size_t{4}, std::size_t{65'536}))
        ->type_name("N")
        ->capture_default_str();
    parser
        .add_option("--max-connections", server.max_connections, "connections at most, idle ones among them")
        ->check(count())
        ->type_name("N")
        ->capture_default_str();
}

void describe_times(CLI::App& parser, Arguments& arguments) {
    parser.add_option("--io-timeout", arguments.io_timeout, "without progress in a body or a response")
        ->check(seconds(0.001))
        ->type_name("S")
        ->capture_default_str();
    parser.add_option("--idle-timeout", arguments.idle_timeout, "between two requests")
        ->check(seconds(0.001))
        ->type_name("S")
        ->capture_default_str();
    parser
        .add_option("--head-timeout", arguments.head_timeout,
                    "for the head of a request, from its first byte")
        ->check(seconds(0.001))
        ->type_name("S")
        ->capture_default_str();
}

void describe_log(CLI::App& parser, Arguments& arguments) {
    parser.add_option("--access-log", arguments.server.access_log, "a line for each request; - for stdout")
        ->type_name("FILE|-");
    parser.add_option("--access-log-format", arguments.access_log_format, "of those lines")
        ->check(CLI::IsMember({"common", "combined", "json"}))
        ->type_name("NAME")
        ->capture_default_str();
}

// Pages about the server itself, and how it ends.
void describe_pages(CLI::App& parser, Arguments& arguments) {
    const CLI::Validator path(
        [](std::string& text) -> std::string {
            return text.starts_with("/") && text.size() > 1 ? ""
                                                            : "\"" + text + "\" is no path: begin with \"/\"";
        },
        "", "path");
    parser.add_option("--status", arguments.status, "where a page shows how the server is, to loopback only")
        ->check(path)
        ->type_name("PATH");
    parser.add_option("--metrics", arguments.metrics, "where Prometheus finds the metrics, from anywhere")
        ->check(path)
        ->type_name("PATH");
    parser
        .add_option("--health", arguments.health,
                    "where load balancers ask: 200 while it serves, 503 once it is to stop")
        ->check(path)
        ->type_name("PATH");
    parser.add_option("--stall-limit", arguments.stall_limit, "logs what keeps a loop busy for longer")
        ->check(seconds(0.001))
        ->type_name("S");
    parser
        .add_option("--drain-timeout", arguments.drain_timeout,
                    "how long requests in flight may go on after SIGTERM")
        ->check(seconds(0.001))
        ->type_name("S")
        ->capture_default_str();
    parser
        .add_option("--drain-delay", arguments.drain_delay,
                    "how long it goes on accepting after SIGTERM, while --health says 503")
        ->check(seconds(0.001))
        ->type_name("S");
}

// Who the clients are, and how many.
void describe_clients(CLI::App& parser, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    parser.add_flag("--proxy-protocol", server.proxy_protocol,
                    "connections begin with a PROXY header (1 or 2); from --trust only");
    parser
        .add_option("--trust", arguments.trust,
                    "networks of our proxies: whose PROXY headers and X-Forwarded-For are believed")
        ->type_name("NETWORK,...");
    parser.add_flag("--forwarded", arguments.forwarded,
                    "believe Forwarded (RFC 7239) instead of X-Forwarded-For");
    parser.add_option("--max-per-address", server.max_per_address, "connections of one client at most")
        ->check(count())
        ->type_name("N");
    parser
        .add_option("--when-full", server.when_full,
                    "new connections and requests without a place: wait, refuse with 503, or close the "
                    "connection that has been idle longest")
        ->transform(CLI::Transformer(std::map<std::string, WhenFull>{
            {"wait", WhenFull::wait}, {"refuse", WhenFull::refuse}, {"close-idle", WhenFull::close_idle}}))
        ->type_name("wait|refuse|close-idle");
}

}  // namespace

void describe(CLI::App& parser, Arguments& arguments) {
    parser.set_version_flag("--version", "webby " EVC_VERSION);
    describe_listening(parser, arguments);
    describe_tls(parser, arguments);
    describe_files(parser, arguments);
    describe_work(parser, arguments);
    describe_times(parser, arguments);
    describe_log(parser, arguments);
    describe_pages(parser, arguments);
    describe_clients(parser, arguments);
    parser
        .set_config("--config", "",
                    "a file with these options, one NAME = VALUE a line; the command line wins")
        ->type_name("FILE");
    parser.allow_config_extras(CLI::config_extras_mode::error);
}

std::string complete(const CLI::App& parser, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    if (arguments.certificates.size() != arguments.keys.size()) return "each --tls-cert needs a --tls-key";
    if (server.listen_tls.empty() != arguments.certificates.empty())
        return "--listen-tls, --tls-cert and --tls-key go together";
    for (std::size_t i = 0; i < arguments.keys.size(); ++i)
        server.tls.certificates.push_back({arguments.certificates[i], arguments.keys[i]});
    if (!server.listen_tls.empty() && parser.count("--listen") == 0) server.listen.clear();
    if (arguments.files.compress && content_codings().empty())
        return "--compress: built without compression (make COMPRESSION=1)";
    if (arguments.files.compress && server.stack_pages < 8) return "--compress needs --stack-pages 8 or more";
    server.timeouts.io = to_milliseconds(arguments.io_timeout);
    server.timeouts.idle = to_milliseconds(arguments.idle_timeout);
    server.timeouts.head = to_milliseconds(arguments.head_timeout);
    server.access_log_format = parse_access_log_format(arguments.access_log_format).value();
    server.drain = to_milliseconds(arguments.drain_timeout);
    server.drain_delay = to_milliseconds(arguments.drain_delay);
    server.stall_limit = to_milliseconds(arguments.stall_limit);
    if (arguments.forwarded) server.forwarded.by = ForwardedBy::forwarded;
    if (!arguments.trust.empty()) {
        cutils::Result<nutils::IpNetworkList> networks = nutils::IpNetworkList::parse(arguments.trust);
        if (!networks) return "--trust: " + networks.error().message();
        server.forwarded.networks = *std::move(networks);
    } else if (server.proxy_protocol) {
        return "--proxy-protocol needs --trust: whose headers are believed";
    }
    server.paradigm = parse_paradigm(arguments.paradigm).value();
    if (server.paradigm != Paradigm::coroutine) server.max_active = 1;
    return {};
}

}  // namespace webby::program
