#include "webby/program/options.h"

#include <string>

#include "nutils/ip_network.h"
#include "nutils/sock_addr.h"
#include "webby/application.h"
#include "webby/cors_filter.h"
#include "webby/program/plugin_spec.h"
#include "webby/program/ready_filters.h"

namespace webby::program {
namespace {

constexpr std::size_t kMany = 10'000'000;

void describe_listening(CommandLine& line, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    line.texts(
        {"--listen", "ADDR",
         "where to listen: IP:PORT (port 0 takes a free one), unix:/PATH, unix:@NAME, or fd:N, a socket "
         "that listens already; fd:NAME is the one that the service manager calls so. May be "
         "repeated. If not given, and the service manager has opened sockets, those; HTTPS is spoken "
         "at those named tls or https"},
        server.listen);
    line.mode("--socket-mode", arguments.socket_mode,
              "permissions of the files of unix sockets, in octal; those that the umask leaves if not given");
    line.flag("--defer-accept", server.defer_accept,
              "accepts connections when their client has sent something: for clients that make one for each "
              "request; silent ones are not seen for a second or three");
}

void describe_tls(CommandLine& line, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    line.texts(
        {"--listen-tls", "ADDR", "where to speak HTTPS; may be repeated; without --listen, only there"},
        server.listen_tls);
    line.texts({"--tls-cert", "FILE",
                "PEM file: our certificate, then those between it and the root; may be repeated, clients get "
                "the one for the host they name; read again on SIGHUP"},
               arguments.certificates);
    line.texts({"--tls-key", "FILE", "PEM file: its private key; as often as --tls-cert"}, arguments.keys);
    line.text({"--tls-client-ca", "FILE", "PEM file: who issues the clients' certificates"},
              server.tls.client_ca_file);
    line.choice("--tls-client-auth", arguments.tls_client_auth, {"none", "optional", "required"},
                "must clients show a certificate?");
    line.choice("--tls-min", arguments.tls_min, {"1.2", "1.3"}, "the oldest version spoken");
}

void describe_files(CommandLine& line, Arguments& arguments) {
    FilesOptions& files = arguments.files;
    line.text({"--root", "DIR", "the folder to serve"}, arguments.root);
    line.texts({"--index", "NAME", "what stands for a folder; may be repeated, the first that is there"},
               files.index);
    line.flag("--listing", files.listing, "folders without an index are listed");
    line.text({"--spa-fallback", "FILE",
               "for an application of a single page: this file answers where there is none"},
              files.spa_fallback);
    line.text({"--cache-control", "VALUE", "the Cache-Control of files"}, files.cache_control);
    line.flag("--precompressed", files.precompressed,
              "sends FILE.zst, FILE.br or FILE.gz instead of FILE to who takes it");
    line.flag("--compress", files.compress, "compresses text on the way, for clients that take it");
}

void describe_hosts(CommandLine& line, Arguments& arguments) {
    line.texts(
        {"--vhost", "HOST[,PORT][,DIR]",
         "a host with servlets, filters and files of its own; *.NAME is any name below it, PORT the one "
         "that clients name, DIR (with a \"/\") what it serves; may be repeated. All other names are "
         "the default host's, which serves --root"},
        arguments.hosts);
    line.texts({"--servlet", "[VHOST,]LIB[,FACTORY][,KEY=VALUE...]",
                "a shared library with servlets, for the default host if no VHOST is given: see "
                "webby/plugin.h; may be repeated"},
               arguments.servlets);
    line.texts(
        {"--filter", "[VHOST,]LIB[,FACTORY][,KEY=VALUE...]",
         "a shared library with filters, for all hosts if no VHOST is given; may be repeated, and they "
         "see requests in this order"},
        arguments.filters);
}

void describe_filters(CommandLine& line, Arguments& arguments) {
    line.flag("--request-id", arguments.request_id,
              "every request has an id, in its response (X-Request-Id) and in logs");
    line.flag("--security-headers", arguments.security_headers,
              "tells browsers what pages may not do: nosniff, frames, referrers, HSTS under TLS, ...");
    line.texts({"--cors", "ORIGIN",
                "pages of this origin (https://HOST, or *) may read what is served; may be repeated"},
               arguments.cors);
    line.text({"--rate-limit", "N[/s][,BURST]",
               "requests a second of one client in the long run, others are answered 429; BURST: how many at "
               "once, twice N if not given"},
              arguments.rate_limit);
    line.text({"--auth-file", "FILE",
               "only the users in this file come in: NAME:HASH lines as of `htpasswd -B` or `mkpasswd`; read "
               "again on SIGHUP"},
              arguments.auth_file);
    line.text({"--auth-realm", "TEXT", "what the browser shows when it asks for a password"},
              arguments.auth_realm);
}

void describe_work(CommandLine& line, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    line.choice("--paradigm", arguments.paradigm, {"coroutine", "thread", "event"},
                "who drives the connections");
    line.count({"--workers", "N", "loops, each on an OS thread of its own; 0: as many as CPUs"},
               server.workers, 0, 1024);
    line.count({"--max-active", "N", "requests in progress at most, with coroutine: the stacks"},
               server.max_active, 1, kMany);
    line.count({"--threads", "N", "requests in progress at most, with thread: the OS threads"},
               server.threads, 1, 32'768);
    line.count({"--stack-pages", "N", "pages of 4 KiB a stack"}, server.stack_pages, 4, 65'536);
    line.count({"--max-connections", "N", "connections at most, idle ones among them"},
               server.max_connections, 1, kMany);
}

void describe_times(CommandLine& line, Arguments& arguments) {
    line.seconds("--io-timeout", arguments.io_timeout, 0.001, "without progress in a body or a response");
    line.seconds("--idle-timeout", arguments.idle_timeout, 0.001, "between two requests");
    line.seconds("--head-timeout", arguments.head_timeout, 0.001,
                 "for the head of a request, from its first byte");
}

// Who the clients are, and how many.
void describe_clients(CommandLine& line, Arguments& arguments) {
    ServerOptions& server = arguments.server;
    line.flag("--proxy-protocol", server.proxy_protocol,
              "connections begin with a PROXY header (1 or 2); from --trust only");
    line.text({"--trust", "NETWORK,...",
               "networks of our proxies: whose PROXY headers and X-Forwarded-For are believed"},
              arguments.trust);
    line.flag("--forwarded", arguments.forwarded, "believe Forwarded (RFC 7239) instead of X-Forwarded-For");
    line.count({"--max-per-address", "N", "connections of one client at most"}, server.max_per_address, 1,
               kMany);
    line.count(
        {"--max-unsent", "MIB",
         "memory that answers may hold while slow clients take them; beyond that, who has taken nothing "
         "for longest is cut; 0: any number"},
        arguments.max_unsent, 0, kMany);
    line.choice(
        "--when-full", arguments.when_full, {"wait", "refuse", "close-idle"},
        "new connections and requests without a place: wait, refuse with 503, or close the connection "
        "that has been idle longest");
}

void describe_log(CommandLine& line, Arguments& arguments) {
    line.text({"--access-log", "FILE|-",
               "a line for each request; - for stdout; opened again on SIGHUP, after it was moved away"},
              arguments.server.access_log);
    line.choice("--access-log-format", arguments.access_log_format, {"common", "combined", "json"},
                "of those lines");
}

// Pages about the server itself, and how it ends.
void describe_operation(CommandLine& line, Arguments& arguments) {
    line.path("--status", arguments.status, "where a page shows how the server is, to loopback only");
    line.path("--metrics", arguments.metrics, "where Prometheus finds the metrics, from anywhere");
    line.path("--health", arguments.health,
              "where load balancers ask, under every host: 200 while it serves, 503 once it is to stop");
    line.seconds("--stall-limit", arguments.stall_limit, 0, "logs what keeps a loop busy for longer; 0: not");
    line.seconds("--drain-timeout", arguments.drain_timeout, 0.001,
                 "how long requests in flight may go on after SIGTERM");
    line.seconds("--drain-delay", arguments.drain_delay, 0,
                 "how long it goes on accepting after SIGTERM, while --health says 503");
}

// Empty, or what is wrong.
template <class T>
std::string wrong_with(const cutils::Result<T>& result) {
    return result ? std::string() : words(result.error());
}

std::string wrong_with_host(const std::string& text) {
    const cutils::Result<HostSpec> spec = HostSpec::parse(text);
    if (!spec) return words(spec.error());
    Application nobody;
    return wrong_with(nobody.add_host(spec->name));
}

// Descriptors, and the names of those that were passed to us, are looked at when all is known.
std::string wrong_with_address(const std::string& text) {
    if (text == "fd:") return "address \"fd:\": neither a number nor a name";
    return text.starts_with("fd:") ? std::string() : wrong_with(nutils::SockAddr::parse(text));
}

// What is done with them later would not know any more where they came from.
void describe_checks(CommandLine& line) {
    line.check("--listen", wrong_with_address);
    line.check("--listen-tls", wrong_with_address);
    line.check("--vhost", wrong_with_host);
    line.check("--servlet", [](const std::string& text) { return wrong_with(PluginSpec::parse(text)); });
    line.check("--filter", [](const std::string& text) { return wrong_with(PluginSpec::parse(text)); });
    line.check("--index", [](const std::string& text) -> std::string {
        return check(FilesOptions{.index = {text}}) ? "" : "\"" + text + "\" is not the name of a file";
    });
    line.check("--cache-control", [](const std::string& text) -> std::string {
        return check(FilesOptions{.cache_control = text}) ? "" : "a control character stands in it";
    });
    line.check("--trust", [](const std::string& text) {
        return text.empty() ? std::string() : wrong_with(nutils::IpNetworkList::parse(text));
    });
    line.check("--rate-limit", [](const std::string& text) { return wrong_with(parse_rate(text)); });
    line.check("--root", [](const std::string& text) -> std::string {
        return text.empty() ? "it names no folder" : "";
    });
    // An empty variable in a script must not open the door.
    line.check("--auth-file",
               [](const std::string& text) -> std::string { return text.empty() ? "it names no file" : ""; });
    line.check("--cors",
               [](const std::string& text) { return wrong_with(CorsFilter::create({.origins = {text}})); });
}

}  // namespace

void describe(CommandLine& line, Arguments& arguments) {
    describe_listening(line, arguments);
    describe_tls(line, arguments);
    describe_files(line, arguments);
    describe_hosts(line, arguments);
    describe_filters(line, arguments);
    describe_work(line, arguments);
    describe_times(line, arguments);
    describe_clients(line, arguments);
    describe_log(line, arguments);
    describe_operation(line, arguments);
    describe_checks(line);
}

}  // namespace webby::program
