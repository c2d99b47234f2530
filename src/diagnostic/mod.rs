//! What is wrong with the user's files: findings with a code, a place and a cure.
