// Compression: a filter that makes bodies smaller for clients that can take it.
#pragma once

#include <cstdint>

#include "cutils/export.h"
#include "webby/filter.h"

namespace webby {

struct CompressionOptions {
    // Bytes; smaller bodies stay as they are, if it is known how large they will be.
    std::uint64_t minimum = 1024;
    std::uint64_t whole = 64 * 1024;  // bytes; larger ones are coded while they are sent, in chunks
};

// Codes what is_compressible() in what the client likes best of content_codings(): zstd, br, gzip.
//
//   server.add_filter(std::make_unique<webby::Compression>());
//
// Leaves alone: what has a Content-Encoding or Content-Range already, 206, what is small, what
// Cache-Control: no-transform protects, and text/event-stream: its events are small, and each has to arrive
// at once. A large body, a source, a stream and what a servlet writes with Response::write are coded piece by
// piece, in chunks. Response::flush brings the client all that was written by then, and so does a source or
// a stream that has nothing more for now; each time costs some of the gain. Says Vary: Accept-Encoding
// wherever it could have done something; makes the ETag of what it coded weak (W/), since the bytes are
// others now; HEAD has the fields of GET. Add it first: it is then the last to see a response.
//
// Owner:  the application. Any thread.
// Cost:   a look at the response's fields; what it codes, as ContentEncoder: a whole body stalls its thread
//         for up to a millisecond. Needs stacks of 8 pages.
class EVC_API Compression final : public Filter {
  public:
    explicit Compression(CompressionOptions options = {}) : options_(options) {}
    void on_response(const Request& request, Response& response) override;

  private:
    CompressionOptions options_;
};

// Adds a name to the response's Vary, unless it is there. For whoever chooses by a field of the request.
EVC_API void add_vary(Response& response, std::string_view name);

}  // namespace webby
