//! Takes a site database out, and puts it back, at one moment.
