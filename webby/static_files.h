// StaticFiles: a servlet that serves the files of a folder, and nothing else.
#pragma once

#include <string>
#include <string_view>

#include "cutils/export.h"
#include "webby/directory.h"
#include "webby/servlet.h"

namespace webby {

// For a route that ends in "*path"; Server::files() makes one. GET and HEAD.
//
//   a file                 with its type, ETag, Last-Modified; 304 or 412 where the request's conditions say
//   so a folder               its index.html; without "/" at the end: 301 to where there is one all else 404:
//   what leads out of the root, what is neither file nor folder, a name that begins with
//                          "." (but ".well-known"), what is not there. 403 for what the process may not read.
//
// Small files are read and sent together with the head; larger ones are sent by the kernel.
//
// Owner:  the application. Any thread.
// Note:   reading a file that is not in the page cache stalls the thread while the disk is read.
class EVC_API StaticFiles final : public Servlet {
  public:
    explicit StaticFiles(Directory root) : root_(std::move(root)) {}
    void serve(Request& request, Response& response) override;

  private:
    void serve_path(Request& request, Response& response, std::string_view path, bool may_be_folder);

    Directory root_;
};

}  // namespace webby
