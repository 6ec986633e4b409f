#include <CLI/CLI.hpp>

#include "webby/program/option_checks.h"
#include "webby/program/options_internal.h"

namespace webby::program {
namespace {

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

void describe_hosts(CLI::App& parser, Arguments& arguments) {
    parser
        .add_option(
            "--vhost", arguments.hosts,
            "a host with servlets, filters and files of its own; *.NAME is any name below it, PORT the "
            "one that clients name, DIR (with a \"/\") what it serves; may be repeated. All other names "
            "are the default host's, which serves --root")
        ->type_name("HOST[,PORT][,DIR]")
        ->allow_extra_args(false);
    parser
        .add_option("--servlet", arguments.servlets,
                    "a shared library with servlets, for the default host if no VHOST is given: see "
                    "webby/plugin.h; may be repeated")
        ->type_name("[VHOST,]LIB[,FACTORY][,KEY=VALUE...]")
        ->allow_extra_args(false);
    parser
        .add_option("--filter", arguments.filters,
                    "a shared library with filters, for all hosts if no VHOST is given; may be repeated, and "
                    "they see requests in this order")
        ->type_name("[VHOST,]LIB[,FACTORY][,KEY=VALUE...]")
        ->allow_extra_args(false);
}

void describe_filters(CLI::App& parser, Arguments& arguments) {
    parser.add_flag("--request-id", arguments.request_id,
                    "every request has an id, in its response (X-Request-Id) and in logs");
    parser.add_flag("--security-headers", arguments.security_headers,
                    "tells browsers what pages may not do: nosniff, frames, referrers, HSTS under TLS, ...");
    parser
        .add_option("--cors", arguments.cors,
                    "pages of this origin (https://HOST, or *) may read what is served; may be repeated")
        ->type_name("ORIGIN")
        ->allow_extra_args(false);
    parser
        .add_option(
            "--rate-limit", arguments.rate_limit,
            "requests a second of one client in the long run, others are answered 429; BURST: how many at "
            "once, twice N if not given")
        ->type_name("N[/s][,BURST]");
    parser
        .add_option("--auth-file", arguments.auth_file,
                    "only the users in this file come in: NAME:HASH lines as of `htpasswd -B` or `mkpasswd`")
        ->type_name("FILE");
    parser
        .add_option("--auth-realm", arguments.auth_realm,
                    "what the browser shows when it asks for a password")
        ->type_name("TEXT")
        ->capture_default_str();
}

// Pages about the server itself, and how it ends.
void describe_pages(CLI::App& parser, Arguments& arguments) {
    parser.add_option("--status", arguments.status, "where a page shows how the server is, to loopback only")
        ->check(path())
        ->type_name("PATH");
    parser.add_option("--metrics", arguments.metrics, "where Prometheus finds the metrics, from anywhere")
        ->check(path())
        ->type_name("PATH");
    parser
        .add_option("--health", arguments.health,
                    "where load balancers ask, under every host: 200 while it serves, 503 once it is to "
                    "stop")
        ->check(path())
        ->type_name("PATH");
    parser
        .add_option("--stall-limit", arguments.stall_limit, "logs what keeps a loop busy for longer; 0: not")
        ->check(seconds(0))
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
        ->check(seconds(0))
        ->type_name("S")
        ->capture_default_str();
}

}  // namespace

void describe_site(CLI::App& parser, Arguments& arguments) {
    describe_files(parser, arguments);
    describe_hosts(parser, arguments);
    describe_filters(parser, arguments);
    describe_pages(parser, arguments);
}

}  // namespace webby::program
