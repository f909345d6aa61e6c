/**
 * What flows along an edge: plain JSON. A port's type says which JSON it is: text a string, list a list of strings,
 * passages a list of {title, text}, steps a list of {question, answer}, number, flag a boolean, json anything.
 */
import type { PortType } from './workflow.ts';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Values = Record<string, Json>;

/** One document, or a piece of one. */
export type Passage = { title: string; text: string };

/** One step of a team's thinking: what was asked and what was found. */
export type AnsweredStep = { question: string; answer: string };

export function isPassages(value: Json | undefined): value is Passage[] {
  return isListOf(value, 'title', 'text');
}

export function isSteps(value: Json | undefined): value is AnsweredStep[] {
  return isListOf(value, 'question', 'answer');
}

function isListOf(value: Json | undefined, ...fields: readonly string[]): boolean {
  return (
    Array.isArray(value) &&
    value.every(
      (item) =>
        item !== null &&
        typeof item === 'object' &&
        !Array.isArray(item) &&
        fields.every((field) => Object.hasOwn(item, field) && typeof item[field] === 'string'),
    )
  );
}

/** Types whose several incoming values are joined, and which memory may append to. */
export function isListType(type: PortType): boolean {
  return type === 'list' || type === 'passages' || type === 'steps';
}

export function isTextList(value: Json | undefined): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** Whether a value of type `from` may flow into a port of type `to`: the same type, anything into json, one text as a list of one. */
export function fits(from: PortType, to: PortType): boolean {
  return from === to || to === 'json' || (from === 'text' && to === 'list');
}

/** Whether a value is one of a port type's values. */
export function isOfType(value: Json | undefined, type: PortType): boolean {
  switch (type) {
    case 'text':
      return typeof value === 'string';
    case 'list':
      return isTextList(value);
    case 'passages':
      return isPassages(value);
    case 'steps':
      return isSteps(value);
    case 'number':
      return typeof value === 'number';
    case 'flag':
      return typeof value === 'boolean';
    case 'json':
      return value !== undefined;
    default:
      return type satisfies never;
  }
}

/** The value a failed tool or a missing text leaves behind, so that the flow can go on. */
export function emptyValue(type: PortType): Json {
  switch (type) {
    case 'text':
      return '';
    case 'list':
      return [];
    case 'passages':
      return [];
    case 'steps':
      return [];
    case 'number':
      return 0;
    case 'flag':
      return false;
    case 'json':
      return null;
    default:
      return type satisfies never;
  }
}
