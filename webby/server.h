// Server: a web server to put into an application.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/tls_context.h"
#include "nutils/sock_addr.h"
#include "webby/access_line.h"
#include "webby/deferred.h"
#include "webby/files_options.h"
#include "webby/filter.h"
#include "webby/forwarded.h"
#include "webby/http_types.h"
#include "webby/limits.h"
#include "webby/metrics_page.h"
#include "webby/paradigm.h"
#include "webby/routes.h"
#include "webby/server_metrics.h"
#include "webby/servlet.h"
#include "webby/status_page.h"

namespace evcorothread {
class EvLoop;
class LoopGroup;
}  // namespace evcorothread

namespace webby {

class Server;
class Site;

// One of a server's hosts, from Server::host(). Owner: a value; means something while the server lives.
class EVC_API VirtualHost : public Routes<VirtualHost> {
  public:
    void add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
             RouteOptions options = {});
    void add_filter(std::unique_ptr<Filter> filter);
    // As Server::files.
    void files(std::string_view prefix, const std::string& folder, FilesOptions options = {});

  private:
    friend class Server;
    VirtualHost(Server& server, Site* site) : server_(&server), site_(site) {}
    Server* server_;
    Site* site_;  // null: the name was wrong, which the server remembers
};

struct ServerOptions {
    // "127.0.0.1:8080", "[::1]:8080", "unix:/run/web.sock"; port 0 takes a free one, see Server::addresses().
    // "fd:3": a socket that listens already, from whoever started this process (nutils/service_manager.h,
    // process::Workers). The server closes it; a socket file of its is not the server's to remove.
    std::vector<std::string> listen{"127.0.0.1:8080"};
    // The same, for HTTPS: needs tls.certificates. Only HTTPS: listen = {}.
    std::vector<std::string> listen_tls{};
    // Of the files of unix sockets (0660); -1: what the process's umask leaves.
    int socket_mode = -1;
    // TCP connections are accepted when their client has sent something (TCP_DEFER_ACCEPT, tcp(7)): a quarter
    // to half of the CPU time less where clients make a connection for each request. Who connects and says
    // nothing is neither seen nor counted, and its time does not begin, for a second or three.
    bool defer_accept = false;
    // Certificates, perhaps several (SNI), whether clients show one, the oldest version. ALPN is the
    // server's: "http/1.1". A handshake has Timeouts::head.
    evcorothread::TlsServerOptions tls{};
    Paradigm paradigm = Paradigm::coroutine;
    // Loops, each on an OS thread of its own, that run() and start() serve with; 0: as many as CPUs that this
    // process may use. With more than one, servlets and filters are called on several threads at a time.
    std::size_t workers = 1;
    Limits limits{};
    Timeouts timeouts{};
    // Requests in progress in the coroutine paradigm: the stacks; workers have equal shares. attach() uses
    // the loop's, or the group's, own.
    std::size_t max_active = 1000;
    std::size_t stack_pages = 16;  // of 4 KiB, a stack
    // OS threads at most. In the thread paradigm, those that serve: requests in progress; workers, whose
    // loops then only accept, have equal shares. In the others, those of servlets with Blocking::offload.
    std::size_t threads = 64;
    // Idle ones among them. Fewer where RLIMIT_NOFILE would leave no descriptors for the files that they are
    // sent: half of what it allows, up to 256, is kept for these.
    std::size_t max_connections = 100'000;
    // Of one client (an IPv4 address, an IPv6 network of 64 bits); more are answered 503. 0: any number.
    // Behind a proxy without proxy_protocol the proxy would be that client.
    std::size_t max_per_address = 0;
    // Memory that all answers together may hold while their clients take them slowly: what is not sent yet of
    // texts and sources, and what compresses them. Beyond that, the client that has taken nothing for longest
    // is cut; a single answer may be larger. Files are sent by the kernel and hold nothing; a
    // Response::stream() has its own limit. Units: bytes; 0: any number.
    std::uint64_t max_unsent = 512 * 1024 * 1024;
    // Connections at max_connections, and requests at max_active; in the thread paradigm requests for which
    // there is no thread.
    WhenFull when_full = WhenFull::wait;
    // Every connection begins with a header of the PROXY protocol, version 1 or 2, that says who the client
    // is. Only from forwarded.networks; others are closed.
    bool proxy_protocol = false;
    // Whose Forwarded or X-Forwarded-For fields are believed: Request::client(). None, as it stands.
    ForwardedTrust forwarded{};
    std::chrono::milliseconds drain{30'000};  // how long stop() lets requests in flight go on
    // How long stop() only says that the end is near (health() answers 503), and serves all that comes,
    // before it stops listening: as long as load balancers need to notice.
    std::chrono::milliseconds drain_delay{0};
    // Requests for names that no host() serves are answered with 421 (RFC 9110 §15.5.20), not by what the
    // server itself has.
    bool strict_hosts = false;
    std::string access_log{};  // a file, "-" for stdout, "" for none
    AccessLogFormat access_log_format = AccessLogFormat::common;
    // Counts what Server::metrics() tells. metrics_page() and status_page() switch it on by themselves.
    bool metrics = false;
    // How long a servlet, or another coroutine, may keep a loop from getting on; longer is logged with a
    // backtrace, and counted. 0: not watched. See evcorothread::StallDetector: it uses SIGRTMIN + 7, which
    // the loops' threads let through from then on.
    std::chrono::milliseconds stall_limit{0};
};

// Usage:
//
//   webby::Server server({.listen = {"127.0.0.1:8080"}});
//   server.get("/hello/:name", [](webby::Request& request, webby::Response& response) {
//       response.text("Hello, " + request.param("name") + "!\n");
//   });
//   server.files("/", "./site");
//   server.run();                                // or start(), or attach(loop) to one you already run
//
// Routes first, then one of run(), start() and attach(), once. Patterns: see Router.
//
// Owner:  the application. Several servers may live in one process.
// Thread: one thread sets it up. Servlets run on the loop's thread: that of run(), one of its own after
//         start(), that of the attached loop. With several workers, or attached to a group, they run on
//         several OS threads at a time; so they do in the thread paradigm. stop() may be called from
//         anywhere.
// Errors: what was wrong with a route or a folder is kept and returned by check(), run(), start() and
//         attach(). In the event paradigm, a route with {.blocking = true} is wrong. Routes, filters and
//         hosts that come while it serves abort: what reads them takes no lock.
class EVC_API Server : public Routes<Server> {
  public:
    explicit Server(ServerOptions options = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    // Cuts what is still in flight. A started server is stopped and joined first. An attached one: on the
    // loop's thread, outside its coroutines and callbacks.
    ~Server();

    // get(), post(), put(), del(), patch(): see Routes.
    void add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
             RouteOptions options = {});
    // Sees the requests to all hosts, before their own filters do.
    void add_filter(std::unique_ptr<Filter> filter);

    // What is served under this name; under names without a host() of their own everything is served that was
    // added to the server itself, unless ServerOptions::strict_hosts.
    //
    //   VirtualHost docs = server.host("docs.example.org");
    //   docs.files("/", "./docs");
    //
    // `name` may be "*.example.org" (any name below it), "example.org:8443" or "[::1]", too.
    // The first one before those that fit less well: names before "*.", with a port before without.
    [[nodiscard]] VirtualHost host(std::string_view name);
    // What is served under all other names, as the same kind of thing.
    [[nodiscard]] VirtualHost default_host();

    // Serves the files of `folder` below `prefix`: files("/static", "./public") answers /static/x with
    // ./public/x. See StaticFiles for what is served and what never is.
    void files(std::string_view prefix, const std::string& folder, FilesOptions options = {});

    // What load balancers ask, at the path `path` under every name: 200 "ok", and from stop() on 503
    // "draining". No filter sees it. See ServerOptions::drain_delay.
    void health(std::string_view path);

    // What was wrong so far with a route, a host or a folder, or with the options: the first such thing.
    [[nodiscard]] cutils::Result<void> check() const;

    // Serves in the calling thread until stop().
    // Errors: also logged, so that a program that does not look still says why it ended. Nothing was served
    //         then.
    cutils::Result<void> run();

    // Serves in a thread of its own; it listens when start() returns. join() waits until it has stopped.
    cutils::Result<void> start();
    void join();

    // Serves on a loop that the application runs, with that loop's stacks. On the loop's thread.
    // Lifetime: the loop must outlive the server.
    cutils::Result<void> attach(evcorothread::EvLoop& loop);

    // Serves on all loops of a group that runs, with their stacks; connections are spread evenly. Servlets
    // and filters are then called on several OS threads at a time: what they share is theirs to protect.
    // Before:   not on one of the group's loops; waits for each of them to take part.
    // Lifetime: the server and the group may end in any order. ~Server is then called outside the group's
    //           loops, and waits until each has cut what is still in flight.
    cutils::Result<void> attach(evcorothread::LoopGroup& group);

    // After ServerOptions::drain_delay, in which only health() changes its answer: stops listening, closes
    // idle connections, lets requests in flight finish (ServerOptions::drain).
    // Returns at once; run() returns, the started thread ends, the attached loop runs out of our work, when
    // that is done. Any thread, any number of times; before run(), start() or attach() it makes them stop as
    // soon as they have begun.
    void stop();

    // Reads the certificates of ServerOptions::tls again, for new connections. Any thread.
    // Errors: those of evcorothread::TlsContext::reload, and then the old ones stay; errc::not_supported
    //         without listen_tls, or before it serves.
    cutils::Result<void> reload_certificates();

    // Opens the access log's path again, for all loops: after somebody has moved the file away. Any thread.
    // Errors: of open(2), and then the old file stays; errc::not_supported without access_log, or before it
    //         serves.
    cutils::Result<void> reopen_access_log();

    // Where it listens, in the order of ServerOptions::listen, then of listen_tls, with real ports. After
    // start() or attach(), or in run().
    [[nodiscard]] const std::vector<nutils::SockAddr>& addresses() const;

    // What has been counted since the server was made, and how it stands. Any thread, at any time; never
    // waits. What only a loop can say of itself (ServerMetrics::loops) is as of now for the loop that asks,
    // and a single one's in its own servlets; the others say it for the next time that somebody asks.
    // Cost: adds up about 6 KiB of counts for each loop and OS thread that serves.
    [[nodiscard]] ServerMetrics metrics() const;

    // Shows them at `path` as Prometheus reads them (text format 0.0.4), with the application's own.
    //
    //   server.metrics_page("/metrics");
    //
    // From now on counts. Call it before run(), start(), attach().
    void metrics_page(std::string_view path, MetricsPageOptions options = {});

    // A page for people at `path`: requests, latencies, connections, stacks, what coroutines wait for, as
    // charts that move; without JavaScript a table. It needs nothing from elsewhere. Others than loopback get
    // 403, unless the options say more.
    //
    //   server.status_page("/-/status");
    //
    // While somebody looks, a look a second; else nothing but the counting. Call it as metrics_page().
    void status_page(std::string_view path, StatusOptions options = {});

    struct Counts {
        std::size_t connections = 0;
        std::size_t idle = 0;     // without a stack, or a thread
        std::size_t waiting = 0;  // for a stack
        std::uint64_t requests = 0;
        std::uint64_t refused = 0;  // for want of a place: see WhenFull, max_per_address
    };
    // On the loop's thread. With a group: on one of its loops, those of that loop; elsewhere, only how many
    // connections there are.
    [[nodiscard]] Counts counts() const;

  private:
    friend class VirtualHost;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
