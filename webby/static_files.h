// StaticFiles: a servlet that serves the files of a folder, and nothing else.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "webby/directory.h"
#include "webby/files_options.h"
#include "webby/servlet.h"

namespace webby {

// For a route that ends in "*path"; Server::files() makes one. GET and HEAD.
//
//   a file      with its type, ETag, Last-Modified (unless that lies in the future); 304 or 412 where the
//               request's conditions say so; 206 and the ranges that are asked for, several as
//               multipart/byteranges, or 416; compressed, where FilesOptions say so and the client likes it
//   a folder    its index; a list of what is in it, if wanted; without "/" at the end: 301 to where there is
//               one
//   all else    404: what leads out of the root, what is neither file nor folder, a name that begins with "."
//               (but ".well-known"), what is not there. 403 for what the process may not read.
//
// Small files are remembered, as long as they are what they were, and sent together with the head; larger
// ones are sent by the kernel.
//
// Owner:  the application. Any thread.
// Cost:   a small file again and again: one stat(2). At most 4 MiB are remembered for each of up to eight
//         threads.
// Note:   reading a file that is not in the page cache stalls the thread while the disk is read.
class EVC_API StaticFiles final : public Servlet {
  public:
    // Before: check(options); anything else aborts.
    explicit StaticFiles(Directory root, FilesOptions options = {});
    ~StaticFiles() override;
    void serve(Request& request, Response& response) override;

    // Where the current time comes from: what was changed within the last seconds is not remembered. For
    // tests.
    void use_clock(std::time_t (*now)());

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
