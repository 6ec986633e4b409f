// Fibonacci numbers, second form: a function that makes them all and returns an array.
//
//   array [N]     the first N numbers, 10 unless told
//
// Maker and user are apart now, and both still read straight down. The price is paid by the caller: it must
// say beforehand how many it wants ("until one is above a million" does not fit), it waits for the last
// number before it sees the first, and all of them are in memory at once. For ten numbers that is nothing.
// For the lines of a log file, or the rows of a query, it is the difference between a program that runs and
// one that does not.
#include <cstdio>
#include <cstdlib>
#include <vector>

static std::vector<unsigned long long> fibonacci(long count) {
    std::vector<unsigned long long> numbers;
    unsigned long long current = 0;
    unsigned long long next = 1;
    for (long i = 0; i < count; ++i) {
        numbers.push_back(current);
        const unsigned long long sum = current + next;
        current = next;
        next = sum;
    }
    return numbers;
}

int main(int argc, char** argv) {
    const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 10;
    for (const unsigned long long number : fibonacci(count)) std::printf("%llu\n", number);
}
