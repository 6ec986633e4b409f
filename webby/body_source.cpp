#include "webby/body_source.h"

namespace webby {

BodySource::~BodySource() = default;
std::error_code BodySource::wait(cutils::Deadline) { return {}; }
bool BodySource::tell(evcorothread::EvLoop&, AnswerWaiter&) { return false; }

}  // namespace webby
