#include "webby/file_answer_internal.h"

#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "cutils/log.h"
#include "webby/ascii.h"
#include "webby/byte_ranges.h"
#include "webby/conditional.h"
#include "webby/content_coding.h"
#include "webby/file_source_internal.h"
#include "webby/multipart_ranges_internal.h"

namespace webby {
namespace {

// An error instead: what was said of the file is not said of it, and its text is not coded.
void answer_error(Response& response, Status status) {
    for (const char* name : {"ETag", "Last-Modified", "Accept-Ranges", "Cache-Control", "Content-Encoding"})
        response.remove_header(name);
    response.error(status);
}

// Whether the conditions of the request leave anything to send.
bool is_wanted(const Request& request, const FileQuestion& question, Response& response,
               const ServedFile& file, std::string_view etag) {
    if (!question.conditional) return true;
    switch (evaluate_conditions(request, etag, file.modified())) {
        case Condition::not_modified: response.status(Status::not_modified); return false;
        case Condition::failed: answer_error(response, Status::precondition_failed); return false;
        case Condition::proceed: break;
    }
    return true;
}

std::string content_range(const ByteRange& range, std::uint64_t whole) {
    return "bytes " + std::to_string(range.first) + "-" + std::to_string(range.first + range.size - 1) + "/" +
           std::to_string(whole);
}

void answer_one_range(Response& response, const ServedFile& file, nutils::UniqueFd fd,
                      const ByteRange& range) {
    response.status(Status::partial_content).add_header("Content-Range", content_range(range, file.size()));
    if (file.is_small())
        response.body(std::string_view(file.content).substr(range.first, range.size), {});
    else
        response.file(std::move(fd), range.size, static_cast<off_t>(range.first));
}

// False when the whole is to be sent instead.
bool answer_ranges(const Request& request, Response& response, const ServedFile& file, nutils::UniqueFd& fd) {
    const ByteRanges asked(request.headers().joined("Range"), file.size());
    if (asked.meaning() == ByteRanges::Meaning::ignored ||
        !range_counts(request, file.etag, file.modified(), std::time(nullptr)))
        return false;
    if (asked.meaning() == ByteRanges::Meaning::unsatisfiable) {
        answer_error(response, Status::range_not_satisfiable);
        response.add_header("Content-Range", "bytes */" + std::to_string(file.size()));
        return true;
    }
    if (asked.ranges().size() == 1) {
        answer_one_range(response, file, std::move(fd), asked.ranges().front());
        return true;
    }
    auto parts = std::make_unique<MultipartRanges>(asked.ranges(), file.size(), file.type);
    if (parts->size() >= file.size()) return false;  // the frames of many small ones
    if (file.is_small())
        parts->take(file.content);
    else
        parts->take(std::move(fd));
    response.status(Status::partial_content).set_header("Content-Type", parts->content_type());
    const std::uint64_t size = parts->size();
    response.source(std::move(parts), size);
    return true;
}

}  // namespace

FileQuestion::FileQuestion(const Request& request) {
    for (const Headers::Field field : request.headers()) {
        const std::string_view name = field.name;
        if (name.size() > 3 && (name[0] | 0x20) == 'i' && (name[1] | 0x20) == 'f' && name[2] == '-')
            conditional = true;
        else if (name.size() == 5 && (name[0] | 0x20) == 'r' && ascii::equal_ignoring_case(name, "Range"))
            ranged = request.method() == Method::get;
    }
}

void answer_file(const Request& request, const FileQuestion& question, Response& response,
                 const ServedFile& file, nutils::UniqueFd fd, ContentCoding coding) {
    response.add_trusted(file.fields, file.type);
    if (!is_wanted(request, question, response, file, file.etag)) return;
    if (coding != ContentCoding::identity) response.add_header("Content-Encoding", to_string(coding));
    if (question.ranged && answer_ranges(request, response, file, fd)) return;
    if (file.is_small())
        response.body(file.content, {});
    else
        response.file(std::move(fd), file.size());
}

bool answer_file_coded(const Request& request, const FileQuestion& question, Response& response,
                       const ServedFile& file, nutils::UniqueFd& fd, ContentCoding coding) {
    // Weak, since another version of the library makes other bytes; another than the plain file's.
    std::string etag = "W/" + file.etag;
    etag.insert(etag.size() - 1, std::string("-").append(to_string(coding)));
    response.add_trusted(file.fields, file.type);
    response.set_header("ETag", etag);
    response.remove_header("Accept-Ranges");
    if (!is_wanted(request, question, response, file, etag)) return true;
    const auto failed = [&response](const cutils::Error& error) {
        cutils::log(cutils::LogLevel::warning, "webby: not compressed: %s", error.message().c_str());
        for (const char* name : {"ETag", "Last-Modified", "Cache-Control", "Vary"})
            response.remove_header(name);
        return false;
    };
    if (file.is_small()) {
        cutils::Result<std::string> coded = encode(coding, file.content);
        if (!coded) return failed(coded.error());
        response.take_body(std::move(*coded), {});
    } else {
        cutils::Result<ContentEncoder> encoder = ContentEncoder::make(coding, file.size());
        if (!encoder) return failed(encoder.error());
        auto plain = std::make_unique<FileSource>(std::move(fd), 0, file.size());
        response.source(std::make_unique<EncodedSource>(std::move(plain), std::move(*encoder)));
    }
    response.add_header("Content-Encoding", to_string(coding));
    return true;
}

}  // namespace webby
