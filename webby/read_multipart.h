// read_multipart(): the parts of a multipart/form-data body, each to memory, to a file, or to a callback.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/multipart.h"
#include "webby/request.h"
#include "webby/uploaded_file.h"

namespace webby {

enum class PartTarget { memory, file, callback, skip };

struct MultipartOptions {
    MultipartLimits limits{};
    std::uint64_t memory = 1024 * 1024;  // bytes of all parts kept in memory together; more: too_long
    std::string folder{};                // where files go

    // Where a part goes. Without it: a part with a filename to a file if there is a folder, all else to
    // memory.
    std::function<PartTarget(const MultipartPart& part)> choose{};

    // For PartTarget::callback: each piece of a part as it comes, then an empty one at its end. May suspend;
    // an error ends the reading and is what read_multipart() returns.
    std::function<cutils::Result<void>(const MultipartPart& part, std::string_view data)> on_data{};
};

struct ReceivedPart {
    MultipartPart head;
    std::string value{};     // PartTarget::memory
    UploadedFile file{};     // PartTarget::file; removed with this object unless it is taken
    std::uint64_t size = 0;  // of any of them
};

struct EVC_API MultipartForm {
    std::vector<ReceivedPart> parts;  // in the order in which they came, without those that were skipped

    // The first of that name; null when there is none.
    [[nodiscard]] ReceivedPart* find(std::string_view name);
    // The value of the first of that name that is in memory; empty when there is none.
    [[nodiscard]] std::string_view value(std::string_view name);
};

// Reads the whole body of a request, which may be there already (an ordinary route) or come in pieces
// (RouteOptions::stream_body: only then can it be larger than memory).
//
//   server.post("/upload", [](Request& request, Response& response) {
//       auto form = read_multipart(request, {.folder = "/var/tmp"}, 60s);
//       if (!form) return refuse_body(request, response, form.error());
//       if (ReceivedPart* photo = form->find("photo"); photo && photo->file) …
//   }, {.body_limit = 100'000'000, .stream_body = true});
//
// Before:   PartTarget::file is only chosen with a folder, PartTarget::callback only with on_data.
// Suspends: while the client has not sent more.
// Errors:   see body_status(): not_supported for another type, too_long past a limit, bad_message for what is
//           malformed, those of Request::read_body(), the errno of open(2) and write(2). The files of the
//           parts that had come are removed.
// Cost:     a buffer of 16 KiB for a streamed body; a copy of what goes to memory.
[[nodiscard]] EVC_API cutils::Result<MultipartForm> read_multipart(Request& request,
                                                                   const MultipartOptions& options,
                                                                   cutils::Deadline deadline);

}  // namespace webby
