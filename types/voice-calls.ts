// The tables of the calls, as a signed-in user reads and writes them.
// Written by `python -m db types` from the database: not to be edited.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  public: {
    Tables: {
      call_participants: {
        Row: {
          answered_at: string | null
          call_id: string
          closed_by_sweep: boolean
          direction: string | null
          disconnect_reason: string | null
          duration_seconds: number | null
          id: string
          is_muted: boolean | null
          joined_at: string
          kind: string
          left_at: string | null
          metadata: Json | null
          participant_identity: string
          participant_name: string | null
          participant_sid: string | null
          participant_type: string | null
          revision: number
          user_id: string | null
        }
        Insert: {
          call_id: string
          id?: string
          is_muted?: boolean | null
          joined_at?: string
          left_at?: string | null
          metadata?: Json | null
          participant_identity: string
          participant_name?: string | null
          participant_type?: string | null
          user_id?: string | null
        }
        Update: {
          is_muted?: boolean | null
          left_at?: string | null
          metadata?: Json | null
          participant_name?: string | null
          participant_type?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "call_participants_call_id_fkey"
            columns: ["call_id"]
            isOneToOne: false
            referencedRelation: "voice_calls"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "call_participants_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "users"
            referencedColumns: ["id"]
          },
        ]
      }
      model_prices: {
        Row: {
          created_at: string
          currency: string
          id: number
          model: string
          per: number
          price: number
          provider: string
          source: string | null
          source_date: string | null
          unit: string
          valid_from: string
        }
        Insert: {
          currency?: string
          model: string
          per?: number
          price: number
          provider: string
          source?: string | null
          source_date?: string | null
          unit: string
          valid_from: string
        }
        Update: {
          currency?: string
          per?: number
          price?: number
          source?: string | null
          source_date?: string | null
          valid_from?: string
        }
        Relationships: []
      }
      users: {
        Row: {
          email: string | null
          id: string
          name: string | null
          role: string
        }
        Insert: { [_ in never]: never }
        Update: { [_ in never]: never }
        Relationships: []
      }
      voice_calls: {
        Row: {
          agent_identity: string | null
          ai_agent_used: boolean | null
          callee_id: string | null
          connected_at: string | null
          cost: number | null
          created_at: string
          duration_seconds: number | null
          end_reason: string | null
          ended_at: string | null
          id: string
          job_id: string | null
          job_started_at: string | null
          made_by: string
          metadata: Json | null
          recording_url: string | null
          room_name: string
          room_sid: string | null
          session_id: string
          started_at: string | null
          status: Database["public"]["Enums"]["call_status"]
          swept_at: string | null
          total_tokens_used: number
          transcript: string | null
          transcript_digest: string | null
          unpriced_requests: number
          updated_at: string
          usage_complete: boolean
          usage_gaps: string[] | null
          user_id: string | null
          worker_id: string | null
        }
        Insert: {
          agent_identity?: string | null
          ai_agent_used?: boolean | null
          connected_at?: string | null
          ended_at?: string | null
          id?: string
          metadata?: Json | null
          recording_url?: string | null
          room_name: string
          session_id: string
          started_at?: string | null
          status?: Database["public"]["Enums"]["call_status"]
          transcript?: string | null
          user_id?: string | null
        }
        Update: {
          connected_at?: string | null
          ended_at?: string | null
          metadata?: Json | null
          recording_url?: string | null
          started_at?: string | null
          status?: Database["public"]["Enums"]["call_status"]
          transcript?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "voice_calls_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "users"
            referencedColumns: ["id"]
          },
        ]
      }
      voice_messages: {
        Row: {
          audio_duration_ms: number | null
          audio_url: string | null
          author_id: string | null
          call_id: string
          content: string
          e2e_latency_ms: number | null
          end_of_turn_delay_ms: number | null
          first_sentence_ms: number | null
          generated_content: string | null
          id: string
          interrupted: boolean
          llm_ttft_ms: number | null
          metadata: Json | null
          model_used: string | null
          participant_identity: string | null
          playout_delay_ms: number | null
          revision: number
          role: Database["public"]["Enums"]["message_role"]
          sequence_number: number | null
          speech_ended_at: string | null
          speech_id: string | null
          speech_started_at: string | null
          timestamp: string
          tokens_used: number | null
          transcription_delay_ms: number | null
          tts_ttfb_ms: number | null
          turn_completed_delay_ms: number | null
        }
        Insert: {
          audio_duration_ms?: number | null
          audio_url?: string | null
          call_id: string
          content: string
          id?: string
          metadata?: Json | null
          model_used?: string | null
          role: Database["public"]["Enums"]["message_role"]
          sequence_number?: number | null
          timestamp?: string
          tokens_used?: number | null
        }
        Update: {
          audio_duration_ms?: number | null
          audio_url?: string | null
          content?: string
          metadata?: Json | null
        }
        Relationships: [
          {
            foreignKeyName: "voice_messages_call_id_fkey"
            columns: ["call_id"]
            isOneToOne: false
            referencedRelation: "voice_calls"
            referencedColumns: ["id"]
          },
        ]
      }
      voice_usage: {
        Row: {
          audio_ms: number | null
          cache_creation_tokens: number
          cached_audio_tokens: number
          cached_input_tokens: number
          call_id: string
          cancelled: boolean
          characters: number | null
          cost: number | null
          created_at: string
          duration_ms: number | null
          error: string | null
          estimated: boolean
          id: string
          input_audio_tokens: number
          input_tokens: number
          kind: string
          message_id: string | null
          metadata: Json
          model: string | null
          output_audio_tokens: number
          output_tokens: number
          price_ids: number[] | null
          provider: string | null
          reasoning_tokens: number
          request_id: string | null
          revision: number
          speech_id: string | null
          total_tokens: number
          ttft_ms: number | null
        }
        Insert: { [_ in never]: never }
        Update: { [_ in never]: never }
        Relationships: [
          {
            foreignKeyName: "voice_usage_call_id_fkey"
            columns: ["call_id"]
            isOneToOne: false
            referencedRelation: "voice_calls"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "voice_usage_message_id_fkey"
            columns: ["message_id"]
            isOneToOne: false
            referencedRelation: "voice_messages"
            referencedColumns: ["id"]
          },
        ]
      }
    }
    Views: {
      active_calls_summary: {
        Row: {
          ai_agent_used: boolean | null
          id: string | null
          participant_count: number | null
          participants: string[] | null
          room_name: string | null
          session_id: string | null
          started_at: string | null
          status: Database["public"]["Enums"]["call_status"] | null
          user_email: string | null
          user_id: string | null
          user_name: string | null
        }
        Relationships: []
      }
      call_analytics: {
        Row: {
          ai_agent_used: boolean | null
          assistant_message_count: number | null
          created_at: string | null
          duration_seconds: number | null
          ended_at: string | null
          id: string | null
          message_count: number | null
          session_id: string | null
          status: Database["public"]["Enums"]["call_status"] | null
          total_tokens_used: number | null
          user_id: string | null
          user_message_count: number | null
        }
        Relationships: []
      }
      turn_costs: {
        Row: {
          call_id: string | null
          cost: number | null
          estimated_requests: number | null
          message_id: string | null
          requests: number | null
          tokens: number | null
          unpriced_requests: number | null
        }
        Relationships: []
      }
      turn_latency: {
        Row: {
          call_id: string | null
          e2e_latency_ms: number | null
          end_of_turn_delay_ms: number | null
          first_sentence_ms: number | null
          heard_message_id: string | null
          interrupted: boolean | null
          llm_ttft_ms: number | null
          message_id: string | null
          model_used: string | null
          playout_delay_ms: number | null
          sequence_number: number | null
          timestamp: string | null
          transcription_delay_ms: number | null
          tts_ttfb_ms: number | null
          turn_completed_delay_ms: number | null
        }
        Relationships: []
      }
    }
    Functions: {
      call_statistics: {
        Args: {
          since: string
          until: string
          unit?: string
          time_zone?: string
          of_user?: string
        }
        Returns: {
          period: string | null
          calls: number | null
          completed: number | null
          failed: number | null
          failure_rate: number | null
          total_s: number | null
          average_s: number | null
          p50_s: number | null
          p90_s: number | null
          p95_s: number | null
          p99_s: number | null
        }[]
      }
      latency_statistics: {
        Args: {
          since: string
          until: string
          unit?: string
          time_zone?: string
          of_user?: string
        }
        Returns: {
          period: string | null
          model: string | null
          step: string | null
          turns: number | null
          p50_ms: number | null
          p95_ms: number | null
          p99_ms: number | null
          implausible: number | null
        }[]
      }
      usage_statistics: {
        Args: {
          since: string
          until: string
          unit?: string
          time_zone?: string
          of_user?: string
        }
        Returns: {
          period: string | null
          kind: string | null
          provider: string | null
          model: string | null
          requests: number | null
          input_tokens: number | null
          cached_input_tokens: number | null
          output_tokens: number | null
          total_tokens: number | null
          audio_ms: number | null
          characters: number | null
          cost: number | null
          unpriced_requests: number | null
        }[]
      }
      user_statistics: {
        Args: {
          since: string
          until: string
          time_zone?: string
          most?: number
        }
        Returns: {
          user_id: string | null
          user_name: string | null
          calls: number | null
          failed: number | null
          total_s: number | null
          total_tokens: number | null
          cost: number | null
          unpriced_calls: number | null
        }[]
      }
    }
    Enums: {
      call_status: "pending" | "active" | "completed" | "failed"
      message_role: "user" | "assistant" | "system"
    }
    CompositeTypes: { [_ in never]: never }
  }
}

type Public = Database["public"]
type Relations = Public["Tables"] & Public["Views"]

export type Tables<Name extends keyof Relations> = Relations[Name]["Row"]
export type TablesInsert<Name extends keyof Public["Tables"]> = Public["Tables"][Name]["Insert"]
export type TablesUpdate<Name extends keyof Public["Tables"]> = Public["Tables"][Name]["Update"]
export type Enums<Name extends keyof Public["Enums"]> = Public["Enums"][Name]

export type VoiceCall = Tables<"voice_calls">
export type VoiceCallInsert = TablesInsert<"voice_calls">
export type VoiceCallUpdate = TablesUpdate<"voice_calls">
export type VoiceMessage = Tables<"voice_messages">
export type VoiceMessageInsert = TablesInsert<"voice_messages">
export type CallParticipant = Tables<"call_participants">
export type VoiceUsage = Tables<"voice_usage">
export type ActiveCall = Tables<"active_calls_summary">
export type CallAnalytics = Tables<"call_analytics">
export type CallStatus = Enums<"call_status">
export type MessageRole = Enums<"message_role">
export type EndReason = "caller_hangup" | "agent_hangup" | "transferred" | "room_closed" | "dispatch_deleted" | "silence" | "max_duration" | "no_caller" | "no_answer" | "rejected" | "not_served" | "error" | "drained" | "worker_crashed" | "worker_lost" | "missed"
export type ParticipantType = "user" | "agent" | "admin"
export type UsageKind = "llm" | "stt" | "tts" | "realtime"
