#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>

#include "webby/process_figures_internal.h"

namespace webby {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

std::string first_line(const char* path) {
    std::array<char, 1024> line{};
    const File file(std::fopen(path, "re"), &std::fclose);
    if (file == nullptr || std::fgets(line.data(), static_cast<int>(line.size()), file.get()) == nullptr)
        return {};
    return line.data();
}

// The fields of /proc/self/stat (proc(5)) behind the name, which may hold anything: state is the first.
unsigned long long field_behind_name(const std::string& stat, int number) {
    const std::size_t end = stat.rfind(')');
    if (end == std::string::npos) return 0;
    const char* at = stat.c_str() + end + 1;
    for (int i = 1; i < number && at != nullptr; ++i) at = std::strchr(at + 1, ' ');
    return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

// When the machine started. Since 1970, with what the clock was set by since.
double boot_time() {
    timespec real{}, since_boot{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return static_cast<double>(real.tv_sec - since_boot.tv_sec) +
           static_cast<double>(real.tv_nsec - since_boot.tv_nsec) * 1e-9;
}

std::size_t count_descriptors() {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), &::closedir);
    if (folder == nullptr) return 0;
    std::size_t count = 0;
    while (const dirent* entry = ::readdir(folder.get()))
        if (entry->d_name[0] != '.') ++count;
    return count - 1;  // one is this folder's
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

Descriptors Descriptors::now() {
    Descriptors descriptors{count_descriptors(), 0};
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) descriptors.most = limit.rlim_cur;
    return descriptors;
}

ProcessFigures ProcessFigures::now() {
    ProcessFigures figures;
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    figures.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    const std::string stat = first_line("/proc/self/stat");
    figures.threads = field_behind_name(stat, 18);
    figures.virtual_bytes = field_behind_name(stat, 21);
    figures.resident_bytes =
        field_behind_name(stat, 22) * static_cast<unsigned long long>(::sysconf(_SC_PAGESIZE));
    figures.start_time = boot_time() + static_cast<double>(field_behind_name(stat, 20)) /
                                           static_cast<double>(::sysconf(_SC_CLK_TCK));
    figures.descriptors = Descriptors::now();
    return figures;
}

}  // namespace webby
