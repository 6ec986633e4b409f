#include "webby/static_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cutils/check.h"
#include "nutils/unique_fd.h"
#include "webby/accept_encoding.h"
#include "webby/ascii.h"
#include "webby/content_coding.h"
#include "webby/file_answer_internal.h"
#include "webby/file_cache_internal.h"
#include "webby/file_source_internal.h"
#include "webby/folder_listing_internal.h"
#include "webby/http_date.h"
#include "webby/mime_types.h"
#include "webby/uri.h"

namespace webby {
namespace {

bool has_hidden_segment(std::string_view path) {
    if (path.starts_with(".well-known/")) path.remove_prefix(12);
    return path.starts_with('.') || path.find("/.") != std::string_view::npos;
}

Status status_of(int error) {
    switch (error) {
        case ENOENT: return Status::not_found;
        case EACCES:
        case EPERM: return Status::forbidden;
        case EMFILE:
        case ENFILE:
        case ENOMEM: return Status::service_unavailable;
        default: return Status::not_found;  // ENXIO of a socket, ENODEV, …: nothing that could be served
    }
}

std::string make_etag(const FileStamp& stamp) {
    const auto nanoseconds = static_cast<unsigned long long>(stamp.modified.tv_sec) * 1'000'000'000u +
                             static_cast<unsigned long long>(stamp.modified.tv_nsec);
    char text[64];
    const int size = std::snprintf(text, sizeof text, "\"%llx-%llx\"", nanoseconds,
                                   static_cast<unsigned long long>(stamp.size));
    return {text, static_cast<std::size_t>(size)};
}

std::string_view extension_of(ContentCoding coding) {
    switch (coding) {
        case ContentCoding::gzip: return ".gz";
        case ContentCoding::br: return ".br";
        case ContentCoding::zstd: return ".zst";
        case ContentCoding::identity: break;
    }
    return {};
}

// Where only the client's taste can tell, caches are told so.
bool asks_for_a_page(const Request& request, Response& response, std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    if (name.find('.') == std::string_view::npos) return true;
    response.add_header("Vary", "Accept");
    return request.header("Accept").find("text/html") != std::string_view::npos;
}

// What was found under a path.
struct Found {
    enum class Kind { nothing, file, folder };
    Kind kind = Kind::nothing;
    Status status = Status::not_found;  // of nothing
    FileCache::Entry file{};            // of a file
    nutils::UniqueFd fd{};              // of a folder, and of a file that is not small
};

}  // namespace

struct StaticFiles::Impl {
    Impl(Directory the_root, FilesOptions the_options)
        : root(std::move(the_root)), options(std::move(the_options)) {
        const cutils::Result<void> checked = check(options);
        EVC_CHECK(checked.ok(), checked.error().context().c_str());
        while (options.spa_fallback.starts_with('/')) options.spa_fallback.erase(0, 1);
    }

    void serve(const Request& request, Response& response, std::string_view path);
    void serve_folder(const Request& request, Response& response, std::string_view path, nutils::UniqueFd fd);
    void serve_file(const Request& request, Response& response, std::string_view path, Found found);
    void serve_nothing(const Request& request, Response& response, std::string_view path, Status status);
    bool serve_coded(const Request& request, const FileQuestion& question, Response& response,
                     std::string_view path, Found& found);

    Found find(std::string_view path, ContentCoding coding = ContentCoding::identity);
    Found read(std::string_view path, std::string_view key, ContentCoding coding, nutils::UniqueFd fd,
               const struct stat& info, FileCache::Entry known);
    [[nodiscard]] std::shared_ptr<ServedFile> describe(std::string_view path, ContentCoding coding,
                                                       const FileStamp& stamp) const;
    Found find_precompressed(std::string_view path, const Found& plain, const AcceptEncoding& accepted,
                             ContentCoding& coding);
    [[nodiscard]] bool may_compress(const ServedFile& file) const;

    Directory root;
    FilesOptions options;
    FileCache cache;
    std::time_t (*now)() = [] { return std::time(nullptr); };
};

StaticFiles::StaticFiles(Directory root, FilesOptions options)
    : impl_(std::make_unique<Impl>(std::move(root), std::move(options))) {}
StaticFiles::~StaticFiles() = default;
void StaticFiles::use_clock(std::time_t (*now)()) { impl_->now = now; }

void StaticFiles::serve(Request& request, Response& response) {
    impl_->serve(request, response, request.param_view("path"));
}

void StaticFiles::Impl::serve(const Request& request, Response& response, std::string_view path) {
    if (has_hidden_segment(path)) return response.error(Status::not_found);
    Found found = find(path);
    switch (found.kind) {
        case Found::Kind::file: return serve_file(request, response, path, std::move(found));
        case Found::Kind::folder: return serve_folder(request, response, path, std::move(found.fd));
        case Found::Kind::nothing: return serve_nothing(request, response, path, found.status);
    }
}

void StaticFiles::Impl::serve_folder(const Request& request, Response& response, std::string_view path,
                                     nutils::UniqueFd fd) {
    if (!request.path().ends_with('/')) {  // so that the relative links of the page lead below the folder
        std::string location = percent_encode_path(request.path()) + "/";
        if (!request.query().empty()) location.append("?").append(request.query());
        return response.redirect(location, Status::moved_permanently);
    }
    for (const std::string& index : options.index) {
        const std::string name = std::string(path) + index;
        Found found = find(name);
        if (found.kind == Found::Kind::file) return serve_file(request, response, name, std::move(found));
        if (found.kind == Found::Kind::nothing && found.status != Status::not_found)
            return response.error(found.status);
    }
    if (!options.listing) return serve_nothing(request, response, path, Status::not_found);
    response.html(list_folder(
        std::move(fd), request.path(), [&](const char* link) -> std::optional<struct stat> {
            const cutils::Result<nutils::UniqueFd> opened = root.open_beneath(std::string(path) + link);
            struct stat info {};
            if (!opened || ::fstat(opened->get(), &info) != 0) return {};
            return info;
        }));
}

void StaticFiles::Impl::serve_nothing(const Request& request, Response& response, std::string_view path,
                                      Status status) {
    if (!options.spa_fallback.empty() && status == Status::not_found &&
        asks_for_a_page(request, response, path)) {
        Found found = find(options.spa_fallback);
        if (found.kind == Found::Kind::file)
            return serve_file(request, response, options.spa_fallback, std::move(found));
    }
    response.error(status);
}

void StaticFiles::Impl::serve_file(const Request& request, Response& response, std::string_view path,
                                   Found found) {
    const FileQuestion question(request);
    if (found.file->varies && serve_coded(request, question, response, path, found)) return;
    answer_file(request, question, response, *found.file, std::move(found.fd), ContentCoding::identity);
}

// What the client likes best of what there is: somebody's work before ours. False when it is the file as it
// is.
bool StaticFiles::Impl::serve_coded(const Request& request, const FileQuestion& question, Response& response,
                                    std::string_view path, Found& found) {
    const AcceptEncoding accepted(request.headers());
    ContentCoding coding = ContentCoding::identity;
    unsigned liked = accepted.quality(coding);
    Found ready;
    if (options.precompressed) {
        ready = find_precompressed(path, found, accepted, coding);
        if (ready.kind == Found::Kind::file) liked = accepted.quality(coding);
    }
    // A range of what is coded on the way cannot be had; who takes nothing else is better served with all of
    // it.
    if ((!question.ranged || liked == 0) && may_compress(*found.file)) {
        const auto best = accepted.choose(content_codings()).value_or(ContentCoding::identity);
        const bool better = best != ContentCoding::identity &&
                            (accepted.quality(best) > liked || coding == ContentCoding::identity);
        if (better && answer_file_coded(request, question, response, *found.file, found.fd, best))
            return true;
    }
    if (ready.kind == Found::Kind::file) {
        answer_file(request, question, response, *ready.file, std::move(ready.fd), coding);
        return true;
    }
    if (liked > 0) return false;
    response.error(Status::not_acceptable);
    response.add_header("Vary", "Accept-Encoding");
    return true;
}

bool StaticFiles::Impl::may_compress(const ServedFile& file) const {
    return options.compress && is_compressible(file.type) && file.size() >= options.compress_minimum &&
           file.size() <= options.compress_maximum && !list_has_token(options.cache_control, "no-transform");
}

// The best of FILE.zst, FILE.br and FILE.gz, unless the client likes FILE better.
Found StaticFiles::Impl::find_precompressed(std::string_view path, const Found& plain,
                                            const AcceptEncoding& accepted, ContentCoding& coding) {
    std::vector<ContentCoding> left{ContentCoding::zstd, ContentCoding::br, ContentCoding::gzip};
    for (;;) {
        const ContentCoding best = accepted.choose(left).value_or(ContentCoding::identity);
        if (best == ContentCoding::identity) return {};
        Found found = find(path, best);
        if (found.kind == Found::Kind::file && !plain.file->stamp.is_newer_than(found.file->stamp)) {
            coding = best;
            return found;
        }
        std::erase(left, best);
    }
}

// A file of the cache is found by stat(2) alone, which may follow links that lead out: but what it finds then
// is not the file that was opened safely.
Found StaticFiles::Impl::find(std::string_view path, ContentCoding coding) {
    std::string key(path);
    key.append(extension_of(coding));
    const std::size_t name_size = key.size();
    if (coding != ContentCoding::identity) key += '\0';  // FILE.gz as FILE is not FILE.gz as itself
    FileCache::Entry known = cache.find(key);
    struct stat info {};
    if (known && known->is_small() && ::fstatat(root.fd(), key.c_str(), &info, 0) == 0 &&
        FileStamp(info) == known->stamp)
        return {Found::Kind::file, Status::ok, std::move(known), {}};

    const std::string_view name = std::string_view(key).substr(0, name_size);
    cutils::Result<nutils::UniqueFd> opened = root.open_beneath(name);
    if (!opened) return {.status = status_of(opened.error().code().value())};
    if (::fstat(opened->get(), &info) != 0) return {.status = Status::internal_error};
    if (S_ISDIR(info.st_mode)) return {Found::Kind::folder, Status::ok, {}, std::move(*opened)};
    if (!S_ISREG(info.st_mode)) return {};
    return read(path, key, coding, std::move(*opened), info, std::move(known));
}

// Of an open file: what is known of it, and what is in it, if it is small.
Found StaticFiles::Impl::read(std::string_view path, std::string_view key, ContentCoding coding,
                              nutils::UniqueFd fd, const struct stat& info, FileCache::Entry known) {
    const FileStamp stamp(info);
    if (known && !known->is_small() && known->stamp == stamp)
        return {Found::Kind::file, Status::ok, std::move(known), std::move(fd)};
    const std::shared_ptr<ServedFile> file = describe(path, coding, stamp);
    if (file->is_small()) {
        file->content.resize(static_cast<std::size_t>(file->size()));
        if (!read_file_exact(fd.get(), 0, file->content)) return {.status = Status::internal_error};
        fd.reset();
    }
    if (!file->is_small() || stamp.has_settled(now())) cache.put(key, file);
    return {Found::Kind::file, Status::ok, file, std::move(fd)};
}

std::shared_ptr<ServedFile> StaticFiles::Impl::describe(std::string_view path, ContentCoding coding,
                                                        const FileStamp& stamp) const {
    auto file = std::make_shared<ServedFile>();
    file->stamp = stamp;
    file->type = mime_type(path);
    file->etag = make_etag(stamp);
    if (coding != ContentCoding::identity)
        file->etag.insert(file->etag.size() - 1, std::string("-").append(to_string(coding)));
    file->varies = options.precompressed || (options.compress && is_compressible(file->type));
    std::string& fields = file->fields;
    fields.append("ETag: ").append(file->etag).append("\r\n");
    if (stamp.modified.tv_sec <= now()) {  // never later than Date (RFC 9110 §8.8.2.1)
        char modified[kHttpDateSize];
        write_http_date(stamp.modified.tv_sec, modified);
        fields.append("Last-Modified: ").append(modified, kHttpDateSize).append("\r\n");
    }
    fields.append("Accept-Ranges: bytes\r\n");
    if (file->varies) fields.append("Vary: Accept-Encoding\r\n");
    if (!options.cache_control.empty())
        fields.append("Cache-Control: ").append(options.cache_control).append("\r\n");
    return file;
}

}  // namespace webby
