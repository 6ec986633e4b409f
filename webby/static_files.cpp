#include "webby/static_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "nutils/unique_fd.h"
#include "webby/conditional.h"
#include "webby/http_date.h"
#include "webby/mime_types.h"
#include "webby/uri.h"

namespace webby {
namespace {

constexpr std::uint64_t kReadWhole =
    16 * 1024;  // up to here reading is cheaper than a second send and sendfile(2)

bool has_hidden_segment(std::string_view path) {
    if (path.starts_with(".well-known/")) path.remove_prefix(12);
    return path.starts_with('.') || path.find("/.") != std::string_view::npos;
}

Status status_of(const cutils::Error& error) {
    switch (error.code().value()) {
        case ENOENT: return Status::not_found;
        case EACCES:
        case EPERM: return Status::forbidden;
        case EMFILE:
        case ENFILE:
        case ENOMEM: return Status::service_unavailable;
        default: return Status::not_found;  // ENXIO of a socket, ENODEV, …: nothing that could be served
    }
}

std::string make_etag(const struct stat& info) {
    const auto nanoseconds = static_cast<unsigned long long>(info.st_mtim.tv_sec) * 1'000'000'000u +
                             static_cast<unsigned long long>(info.st_mtim.tv_nsec);
    char text[64];
    const int size = std::snprintf(text, sizeof text, "\"%llx-%llx\"", nanoseconds,
                                   static_cast<unsigned long long>(info.st_size));
    return {text, static_cast<std::size_t>(size)};
}

bool read_whole(int fd, std::size_t size, std::string& out) {
    out.resize(size);
    for (std::size_t done = 0; done < size;) {
        const ssize_t got = ::pread(fd, out.data() + done, size - done, static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += static_cast<std::size_t>(got);
    }
    return true;
}

void send_file(const Request& request, Response& response, nutils::UniqueFd file, const struct stat& info,
               std::string_view name) {
    const std::string etag = make_etag(info);
    char modified[kHttpDateSize];
    write_http_date(info.st_mtim.tv_sec, modified);
    response.set_header("ETag", etag);
    response.set_header("Last-Modified", {modified, kHttpDateSize});
    switch (evaluate_conditions(request, etag, info.st_mtim.tv_sec)) {
        case Condition::not_modified: response.status(Status::not_modified); return;
        case Condition::failed: response.error(Status::precondition_failed); return;
        case Condition::proceed: break;
    }
    response.set_header("Content-Type", mime_type(name));
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size > kReadWhole || request.method() == Method::head) return response.file(std::move(file), size);
    std::string body;
    if (read_whole(file.get(), static_cast<std::size_t>(size), body))
        response.take_body(std::move(body), {});
    else
        response.error(Status::internal_error);
}

}  // namespace

void StaticFiles::serve(Request& request, Response& response) {
    serve_path(request, response, request.param_view("path"), true);
}

void StaticFiles::serve_path(Request& request, Response& response, std::string_view path,
                             bool may_be_folder) {
    if (has_hidden_segment(path)) return response.error(Status::not_found);
    cutils::Result<nutils::UniqueFd> opened = root_.open_beneath(path);
    if (!opened) return response.error(status_of(opened.error()));
    struct stat info {};
    if (::fstat(opened->get(), &info) != 0) return response.error(Status::internal_error);
    if (S_ISREG(info.st_mode)) return send_file(request, response, std::move(*opened), info, path);
    if (!S_ISDIR(info.st_mode) || !may_be_folder) return response.error(Status::not_found);

    if (!request.path().ends_with('/')) {  // so that the relative links of the page lead below the folder
        std::string location = percent_encode_path(request.path()) + "/";
        if (!request.query().empty()) location.append("?").append(request.query());
        return response.redirect(location, Status::moved_permanently);
    }
    serve_path(request, response, std::string(path) + "index.html", false);
}

}  // namespace webby
