// The syntax tree of a template.
//
// Nodes live in the arena of the parse, are linked in source order through `next`, and never change
// afterwards. Chains that a reader sees as flat are flat here too (a + b + c, x.a.b|f|g,
// if/elif/elif): only real nesting makes the tree deep, so that the depth limit is about what the
// author nested.
#pragma once

#include "core/chat/template_value.h"

namespace lbm {

struct TemplateBuiltin;

enum class TemplateOperator : u8 {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
  kConcat,
  kAnd,
  kOr,
};

// ---- Expressions

enum class ExprKind : u8 {
  kLiteral,
  kName,
  kTuple,
  kList,
  kMap,
  kNot,
  kNegate,
  kPlus,
  kAnd,
  kOr,
  kArithmetic,
  kConcat,
  kCompare,
  kConditional,
  kPostfix,
};

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  TemplateOperator op = TemplateOperator::kAdd;  // how this operand is joined to the ones before it
  u32 offset = 0;
  Expr* next = nullptr;  // the next operand, item or argument
};

struct LiteralExpr : Expr {
  TemplateValue value;
};

struct NameExpr : Expr {
  Str name;
};

// kTuple, kList, kMap (key, value, key, value ...), kAnd, kOr, kArithmetic (operators of one
// precedence), kConcat, kCompare.
struct ListExpr : Expr {
  Expr* items = nullptr;
  u32 n_item = 0;
};

struct UnaryExpr : Expr {  // kNot, kNegate, kPlus
  Expr* operand = nullptr;
};

struct ConditionalExpr : Expr {  // yes if test else no
  Expr* test = nullptr;
  Expr* yes = nullptr;
  Expr* no = nullptr;  // nullptr: undefined
};

enum class ArgumentKind : u8 { kPositional, kNamed, kSpreadList, kSpreadMap };

struct ArgumentSyntax {
  ArgumentKind kind = ArgumentKind::kPositional;
  Str name;
  Expr* value = nullptr;
  ArgumentSyntax* next = nullptr;
};

enum class PostfixKind : u8 { kAttribute, kSubscript, kSlice, kCall, kFilter, kTest };

struct PostfixOp {
  PostfixKind kind = PostfixKind::kAttribute;
  bool negated = false;  // is not
  u32 offset = 0;
  Str name;             // attribute, filter, test
  Expr* index[3] = {};  // [0] of a subscript; begin, end, step of a slice (nullptr where left out)
  ArgumentSyntax* arguments = nullptr;  // call, filter, test
  const TemplateBuiltin* builtin =
      nullptr;  // of a filter or test; nullptr: unknown, an error when it is reached
  PostfixOp* next = nullptr;
};

struct PostfixExpr : Expr {
  Expr* base = nullptr;
  PostfixOp* ops = nullptr;
};

// ---- Statements

enum class StatementKind : u8 {
  kData,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kScope,
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind = StatementKind::kData;
  u32 offset = 0;
  Statement* next = nullptr;
};

// What `set`, `for` and `with` assign to: a name, an attribute of a namespace, or a tuple of those.
struct TargetSyntax {
  Str name;
  Str attribute;                  // empty: the name itself
  TargetSyntax* items = nullptr;  // a tuple
  u32 n_item = 0;
  bool is_tuple = false;
  u32 offset = 0;
  TargetSyntax* next = nullptr;
};

struct DataStatement : Statement {
  Str text;
};

struct OutputStatement : Statement {
  Expr* value = nullptr;
};

struct BranchSyntax {
  Expr* test = nullptr;
  Statement* body = nullptr;
  BranchSyntax* next = nullptr;
};

struct IfStatement : Statement {
  BranchSyntax* branches = nullptr;
  Statement* otherwise = nullptr;
};

struct ForStatement : Statement {
  TargetSyntax* target = nullptr;
  Expr* items = nullptr;
  Expr* filter = nullptr;
  Statement* body = nullptr;
  Statement* otherwise = nullptr;
  bool recursive = false;
};

struct SetStatement : Statement {
  TargetSyntax* target = nullptr;
  Expr* value = nullptr;
};

struct SetBlockStatement : Statement {
  TargetSyntax* target = nullptr;
  PostfixOp* filters = nullptr;
  Statement* body = nullptr;
};

struct ParameterSyntax {
  TargetSyntax* target = nullptr;
  Expr* value = nullptr;  // default of a macro's parameter, nullptr where it has none; value of a
                          // `with` binding
  ParameterSyntax* next = nullptr;
};

struct MacroSyntax {
  Str name;
  ParameterSyntax* parameters = nullptr;
  u32 n_parameter = 0;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
  Statement* body = nullptr;
};

struct MacroStatement : Statement {
  MacroSyntax macro;
};

struct CallBlockStatement : Statement {
  Expr* call = nullptr;  // a PostfixExpr that ends in a call
  MacroSyntax caller;
};

struct FilterBlockStatement : Statement {
  PostfixOp* filters = nullptr;
  Statement* body = nullptr;
};

struct WithStatement : Statement {
  ParameterSyntax* bindings = nullptr;
  Statement* body = nullptr;
};

struct ScopeStatement : Statement {  // generation, block
  Statement* body = nullptr;
};

// The whole template.
struct TemplateSyntax {
  Statement* body = nullptr;
  Str source;  // with '\n' for every line end; offsets count in it
};

}  // namespace lbm
