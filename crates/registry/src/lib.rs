//! Registry keys as trees and as text.
