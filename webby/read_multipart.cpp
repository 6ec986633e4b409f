#include "webby/read_multipart.h"

#include <memory>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"
#include "nutils/net_error.h"

namespace webby {

using cutils::Result;
using Step = MultipartParser::Step;

namespace {

constexpr std::size_t kBuffer = 16 * 1024;

// A duration counts once for the whole body, on the clock of whoever waits.
cutils::Deadline resolved(cutils::Deadline deadline) {
    namespace here = evcorothread::this_evthread;
    return deadline.resolved(here::in_evthread() ? here::loop().now() : cutils::monotonic_now());
}

// Takes the parser's events and puts the parts where they belong.
class Collector {
  public:
    Collector(std::string_view boundary, const MultipartOptions& options)
        : options_(options), parser_(boundary, options.limits) {}

    Result<void> eat(std::string_view input);
    Result<MultipartForm> finish() {
        if (!parser_.finish()) return parser_.error();
        return std::move(form_);
    }

  private:
    [[nodiscard]] PartTarget choose(const MultipartPart& part) const;
    Result<void> begin_part();
    Result<void> keep(std::string_view data);
    Result<void> keep_in_memory(std::string_view data);
    Result<void> end_part();

    const MultipartOptions& options_;
    MultipartParser parser_;
    MultipartForm form_;
    ReceivedPart current_;
    PartTarget target_ = PartTarget::skip;
    std::uint64_t in_memory_ = 0;
};

Result<void> Collector::eat(std::string_view input) {
    while (true) {
        Result<void> done;
        switch (parser_.next(input)) {
            case Step::need_more: return {};
            case Step::part: done = begin_part(); break;
            case Step::data: done = keep(parser_.data()); break;
            case Step::part_end: done = end_part(); break;
            case Step::end: break;
            case Step::refused: return parser_.error();
        }
        if (!done) return done;
    }
}

PartTarget Collector::choose(const MultipartPart& part) const {
    if (options_.choose) return options_.choose(part);
    return part.filename && !options_.folder.empty() ? PartTarget::file : PartTarget::memory;
}

Result<void> Collector::begin_part() {
    current_ = {.head = std::move(parser_.part())};
    target_ = choose(current_.head);
    EVC_CHECK(target_ != PartTarget::callback || options_.on_data,
              "read_multipart(): PartTarget::callback without MultipartOptions::on_data");
    if (target_ != PartTarget::file) return {};
    EVC_CHECK(!options_.folder.empty(),
              "read_multipart(): PartTarget::file without MultipartOptions::folder");
    Result<UploadedFile> file = UploadedFile::create(options_.folder);
    if (!file) return file.error();
    current_.file = std::move(*file);
    return {};
}

Result<void> Collector::keep(std::string_view data) {
    current_.size += data.size();
    switch (target_) {
        case PartTarget::memory: return keep_in_memory(data);
        case PartTarget::file: return current_.file.write(data);
        case PartTarget::callback: return options_.on_data(current_.head, data);
        case PartTarget::skip: break;
    }
    return {};
}

Result<void> Collector::keep_in_memory(std::string_view data) {
    in_memory_ += data.size();
    if (in_memory_ > options_.memory)
        return cutils::Error(nutils::NetError::too_long, "multipart: more than is kept in memory");
    current_.value += data;
    return {};
}

Result<void> Collector::end_part() {
    if (target_ == PartTarget::skip) return {};
    if (target_ == PartTarget::callback)
        if (Result<void> done = options_.on_data(current_.head, {}); !done) return done;
    form_.parts.push_back(std::move(current_));
    return {};
}

}  // namespace

ReceivedPart* MultipartForm::find(std::string_view name) {
    for (ReceivedPart& part : parts)
        if (part.head.name == name) return &part;
    return nullptr;
}

std::string_view MultipartForm::value(std::string_view name) {
    for (const ReceivedPart& part : parts)
        if (part.head.name == name && !part.file) return part.value;
    return {};
}

Result<MultipartForm> read_multipart(Request& request, const MultipartOptions& options,
                                     cutils::Deadline deadline) {
    const Result<std::string> boundary = multipart_boundary(request.header("Content-Type"));
    if (!boundary) return boundary.error();
    Collector collector(*boundary, options);
    if (Result<void> eaten = collector.eat(request.body()); !eaten) return eaten.error();
    deadline = resolved(deadline);
    const std::unique_ptr<char[]> buffer(new char[kBuffer]);
    nutils::IoResult got;
    while ((got = request.read_body({buffer.get(), kBuffer}, deadline)))
        if (Result<void> eaten = collector.eat({buffer.get(), got.bytes}); !eaten) return eaten.error();
    if (!got.eof()) return cutils::Error(got.error, "multipart: the body cannot be read");
    return collector.finish();
}

}  // namespace webby
