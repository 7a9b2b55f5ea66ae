mod golden;
mod print;
mod properties;
mod rules;
