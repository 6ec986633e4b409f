#include <CLI/CLI.hpp>

#include "webby/program/option_checks.h"
#include "webby/program/options_internal.h"

namespace webby::program {
namespace {

void describe_listening(CLI::App& parser, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    parser
        .add_option(
            "--listen", server.listen,
            "where to listen: IP:PORT (port 0 takes a free one), unix:/PATH, unix:@NAME, or fd:N, a socket "
            "that listens already; fd:NAME is the one that the service manager calls so. May be "
            "repeated. If not given, and the service manager has opened sockets, those; HTTPS is spoken "
            "at those named tls or https")
        ->type_name("ADDR")
        ->allow_extra_args(false)
        ->capture_default_str();
    parser
        .add_option(
            "--socket-mode", arguments.socket_mode,
            "permissions of the files of unix sockets, in octal; those that the umask leaves if not given")
        ->check(octal())
        ->type_name("MODE");
}

void describe_tls(CLI::App& parser, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    evcorothread::TlsServerOptions& tls = server.tls;
    parser
        .add_option("--listen-tls", server.listen_tls,
                    "where to speak HTTPS; may be repeated; without --listen, only there")
        ->type_name("ADDR")
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
    parser.add_option("--tls-client-auth", arguments.tls_client_auth, "must clients show a certificate?")
        ->check(CLI::IsMember({"none", "optional", "required"}))
        ->type_name("none|optional|required")
        ->capture_default_str();
    parser.add_option("--tls-min", arguments.tls_min, "the oldest version spoken")
        ->check(CLI::IsMember({"1.2", "1.3"}))
        ->type_name("1.2|1.3")
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
    parser
        .add_option("--access-log", arguments.server.access_log,
                    "a line for each request; - for stdout; opened again on SIGHUP, after it was moved away")
        ->type_name("FILE|-");
    parser.add_option("--access-log-format", arguments.access_log_format, "of those lines")
        ->check(CLI::IsMember({"common", "combined", "json"}))
        ->type_name("NAME")
        ->capture_default_str();
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
        .add_option("--when-full", arguments.when_full,
                    "new connections and requests without a place: wait, refuse with 503, or close the "
                    "connection that has been idle longest")
        ->check(CLI::IsMember({"wait", "refuse", "close-idle"}))
        ->type_name("wait|refuse|close-idle")
        ->capture_default_str();
}

}  // namespace

void describe_server(CLI::App& parser, Arguments& arguments) {
    describe_listening(parser, arguments);
    describe_tls(parser, arguments);
    describe_work(parser, arguments);
    describe_times(parser, arguments);
    describe_clients(parser, arguments);
    describe_log(parser, arguments);
}

}  // namespace webby::program
