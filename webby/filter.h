// Filter: what sees every request before its servlet, every response after it, and all that passes between.
#pragma once

#include <cstdint>
#include <string>

#include "nutils/sock_addr.h"
#include "webby/request.h"
#include "webby/response.h"

namespace webby {

// Filters form a line: the functions about the request are called in the order the filters were added, then
// the servlet runs, then those about the response in the opposite order, for the filters whose on_request()
// had run. A server's filters come before those of its virtual host.
//
//   on_request            the head is complete; the body may still be on its way
//   on_request_data       a piece of the body, before anybody else has it
//   on_request_end        the body is complete; for routes that stream it, when the servlet has read it all
//       the servlet
//   on_response           the head, before anything is sent; also of what the server answers itself (404,
//                         405, 500), but not of requests that were malformed (400, 431 …)
//   on_response_data      a piece of the body; what a Compression has coded whole, or as a source, is coded
//                         by then, what a servlet writes is not yet
//   on_response_end       the body is complete
//   on_close              the connection has ended
//
// What a filter wants to remember between them it keeps in request.state(), or request.connection().
//
// Owner:  the application; one object for all requests. Threads as for Servlet.
// Errors: an exception becomes a 500, or cuts the connection when the head is out; one line in the log.
// Cost:   a virtual call each; bodies take the direct way unless wants() says otherwise.
class Filter {
  public:
    virtual ~Filter() = default;

    // Which functions about bodies and connections are called. Asked once, when the filter is added.
    struct Wants {
        bool request_data = false;   // on_request_data, on_request_end
        bool response_data = false;  // on_response_data, on_response_end; files are then read through memory
        bool close = false;          // on_close
    };
    [[nodiscard]] virtual Wants wants() const { return {}; }

    // May change the response ahead of the servlet, or answer itself: then it returns false, and neither
    // later filters nor the servlet run. What is still to come of the body is forgotten.
    [[nodiscard]] virtual bool on_request(Request& request, Response& response) {
        (void)request, (void)response;
        return true;
    }
    // May change the piece, also to nothing. False: answered, as above. For routes that stream the body, the
    // response has by then what the servlet has put into it; once it writes, the head is out, and changes of
    // it reach nobody.
    [[nodiscard]] virtual bool on_request_data(Request& request, Response& response, std::string& piece) {
        (void)request, (void)response, (void)piece;
        return true;
    }
    [[nodiscard]] virtual bool on_request_end(Request& request, Response& response) {
        (void)request, (void)response;
        return true;
    }

    // May change the response. Another body than the one that a servlet is about to write goes out alone, and
    // the servlet's write() says canceled.
    virtual void on_response(const Request& request, Response& response) { (void)request, (void)response; }
    // May change the piece, also to nothing. Not for HEAD, 204, 205 and 304. `request` is what on_request
    // saw.
    virtual void on_response_data(const Request& request, std::string& piece) { (void)request, (void)piece; }
    // May put something behind the body.
    virtual void on_response_end(const Request& request, std::string& last) { (void)request, (void)last; }

    // The connection has gone, after so many requests, to whatever hosts; its state, `connection`, is about
    // to.
    virtual void on_close(const nutils::SockAddr& peer, std::uint64_t requests, StateMap& connection) {
        (void)peer, (void)requests, (void)connection;
    }
};

}  // namespace webby
