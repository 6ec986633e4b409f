// What a file is answered with, once it is found and its coding is chosen. Internal.
#pragma once

#include "nutils/unique_fd.h"
#include "webby/accept_encoding.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/served_file_internal.h"

namespace webby {

// The fields of a request that matter to a file, found in one pass.
struct FileQuestion {
    bool conditional = false;  // If-…
    bool ranged = false;       // a GET with Range, whatever stands in it

    explicit FileQuestion(const Request& request);
};

// Answers with a file as it is, or as somebody has compressed it before: `coding`.
// fd: the file; needed unless it is small.
void answer_file(const Request& request, const FileQuestion& question, Response& response,
                 const ServedFile& file, nutils::UniqueFd fd, ContentCoding coding);

// Answers with a file that is compressed on the way. False, nothing done, when that cannot be.
[[nodiscard]] bool answer_file_coded(const Request& request, const FileQuestion& question, Response& response,
                                     const ServedFile& file, nutils::UniqueFd& fd, ContentCoding coding);

}  // namespace webby
