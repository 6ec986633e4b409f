// documented_kib: what docs/stack-size.md says that a call needs, so that tests can hold it to that.
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>

namespace test_support {

// The second column of the table's row that begins with `what`; 0 when there is none.
// Before: run in the project's root, as the scripts do.
inline double documented_kib(const std::string& what) {
    std::ifstream file("docs/stack-size.md");
    const std::string begin = "| " + what + " | ";
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(begin)) return std::atof(line.c_str() + begin.size());
    return 0;
}

}  // namespace test_support
